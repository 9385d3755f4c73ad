//! Reading any file returns its content or an error, and never panics.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::path::Path;

use proptest::prelude::*;
use rondo_train::{Checkpoint, Plan, Settings, recipes};

/// A text with some characters replaced, doubled or removed.
fn damaged(text: &str, places: &[(prop::sample::Index, prop::sample::Index, u8)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (place, other, how) in places {
        let place = place.index(chars.len());
        let other = chars[other.index(chars.len())];
        match how % 3 {
            0 => chars[place] = other,
            1 => chars.insert(place, other),
            _ => drop(chars.remove(place)),
        }
    }
    chars.into_iter().collect()
}

fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, prop::sample::Index, u8)>> {
    proptest::collection::vec(any::<(prop::sample::Index, prop::sample::Index, u8)>(), 1..8)
}

proptest! {
    #[test]
    fn settings_of_any_text_are_settings_or_an_error(text in any::<String>()) {
        let _ = Settings::parse("settings.toml", &text);
    }

    #[test]
    fn a_damaged_recipe_is_a_plan_that_is_read_back_the_same_or_an_error(which in 0_usize..12, damage in damage()) {
        let names: Vec<_> = recipes::names().collect();
        let settings = recipes::find(names[which % names.len()]).unwrap().settings;
        let text = damaged(&settings.to_toml().unwrap(), &damage);
        let Ok(settings) = Settings::parse("settings.toml", &text) else { return Ok(()) };
        let Ok(plan) = Plan::new(&settings) else { return Ok(()) };
        let written = plan.to_toml().unwrap();
        prop_assert_eq!(Plan::new(&Settings::parse("plan.toml", &written).unwrap()).unwrap(), plan);
    }

    #[test]
    fn any_bytes_are_no_checkpoint(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Checkpoint::from_bytes(bytes, Path::new("c")).is_err());
    }
}
