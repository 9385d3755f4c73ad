//! A settings file, kept to say where in it a value is that turns out to be invalid.

use std::fs;
use std::path::Path;

use toml::de::DeTable;

use super::{Field, Settings};
use crate::{Result, TrainError};

/// The text of a settings file, and the settings that override it.
#[derive(Clone, Debug)]
pub(crate) struct SettingsFile {
    origin: String,
    text: String,
    overridden: Settings,
}

impl SettingsFile {
    /// Reads a file and its settings.
    pub(crate) fn read(path: &Path) -> Result<(SettingsFile, Settings)> {
        let text = fs::read_to_string(path).map_err(TrainError::io("read", path))?;
        let origin = path.display().to_string();
        let settings = Settings::parse(&origin, &text)?;
        Ok((SettingsFile { origin, text, overridden: Settings::default() }, settings))
    }

    /// The same file, overridden by these settings.
    pub(crate) fn overridden_by(self, over: &Settings) -> SettingsFile {
        SettingsFile { overridden: over.clone(), ..self }
    }

    /// The error with the place of the setting that it is about, if that is from this file.
    pub(crate) fn locate(&self, error: TrainError) -> TrainError {
        let Some(field) = error.setting().and_then(|path| Field::find(&path)) else { return error };
        if self.overridden.given().any(|(given, _)| given == field) {
            return error;
        }
        match self.line_of(field) {
            Some(line) => TrainError::InFile { origin: self.origin.clone(), line, error: Box::new(error) },
            None => error,
        }
    }

    /// The line, from 1, of a setting's key.
    fn line_of(&self, field: &Field) -> Option<usize> {
        let file = DeTable::parse(&self.text).ok()?;
        let section = file.get_ref().get(field.section)?.get_ref().as_table()?;
        let is_it = |name: &str| name == field.key || Some(name) == field.alias;
        let key = section.keys().find(|key| is_it(key.get_ref()))?;
        Some(self.text.get(..key.span().start)?.matches('\n').count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;

    #[test]
    fn an_invalid_value_is_located_unless_it_is_overridden() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.toml");
        fs::write(&path, "[training]\nepochs = 2\n\n[model]\ncell = \"gru\"\ndropout = 1.5\n").unwrap();
        let (file, settings) = SettingsFile::read(&path).unwrap();
        let error = || Plan::new(&settings).unwrap_err();
        assert_eq!(file.locate(error()).to_string(), format!("`{}`, line 6: {}", path.display(), error()));
        let over = Settings::parse("flags", "[model]\ndropout = 2.0\n").unwrap();
        assert_eq!(file.overridden_by(&over).locate(error()).to_string(), error().to_string());
    }
}
