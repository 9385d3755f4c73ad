//! The models of a command that takes several, which of its arguments they are, and their names.

use std::path::{Path, PathBuf};

/// The models, and the other files: the models come first, as run folders or `.safetensors` files.
pub(crate) fn split(paths: &[PathBuf]) -> (&[PathBuf], &[PathBuf]) {
    let is_model =
        |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|kind| kind == "safetensors");
    // The first is a model even if it does not exist, so that the error says so.
    let others = paths.iter().skip(1).take_while(|path| is_model(path)).count();
    paths.split_at(paths.len().min(1 + others))
}

/// A short name for each model: that of the run's folder for its best model, otherwise that of the file; the whole path if
/// a name is not the only one.
pub(crate) fn names(paths: &[PathBuf]) -> Vec<String> {
    let short = |path: &Path| {
        let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
        name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    };
    let all: Vec<String> = paths.iter().map(|path| short(path)).collect();
    let is_only = |name: &String| all.iter().filter(|other| *other == name).count() == 1;
    let name = |(name, path): (&String, &PathBuf)| {
        if is_only(name) { name.clone() } else { path.display().to_string() }
    };
    all.iter().zip(paths).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_come_first() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let all = paths(&["missing", "b.safetensors", "text.txt", "c.safetensors"]);
        assert_eq!(split(&all), (&all[..2], &all[2..]));
        assert_eq!(split(&[]), (&[][..], &[][..]));
        assert_eq!(names(&paths(&["runs/a", "runs/b.safetensors"])), ["a", "b"]);
        assert_eq!(
            names(&paths(&["1/best.safetensors", "2/best.safetensors"])),
            ["1/best.safetensors", "2/best.safetensors"]
        );
    }
}
