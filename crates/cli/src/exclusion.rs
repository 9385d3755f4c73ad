//! Words that cannot be suggested: `--exclude FILE`.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::Path;

use anyhow::{Context, Result};
use rondo_data::TextCodec;

use crate::console::Console;
use crate::input::Input;

/// Reads a file with one word per line.
pub(crate) fn words(path: &Path, console: Console) -> Result<HashSet<String>> {
    let input = &Input::all(&[path.to_owned()])[0];
    let origin = input.origin();
    let mut words = HashSet::new();
    for line in input.open(console)?.lines() {
        let line = line.with_context(|| format!("could not read `{origin}`"))?;
        words.extend(Some(line.trim().to_owned()).filter(|word| !word.is_empty()));
    }
    Ok(words)
}

/// Reads such a file, and returns the ids of the words in the vocabulary. A note says how many are not.
pub(crate) fn ids(path: &Path, codec: &TextCodec, console: Console) -> Result<Vec<u32>> {
    let words = words(path, console)?;
    let mut ids: Vec<u32> = words.iter().filter_map(|word| codec.vocab().id(word)).collect();
    if ids.len() < words.len() {
        let missing = words.len() - ids.len();
        let are = if missing == 1 { "is" } else { "are" };
        console.say(&format!(
            "note: {missing} of {} words in `{}` {are} not in the model's vocabulary",
            words.len(),
            path.display()
        ));
    }
    ids.sort_unstable();
    Ok(ids)
}
