//! Settings, plans and recipes: an error, or a plan that is the same after writing and reading it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo_train::{Plan, Recipe, Settings};

fuzz_target!(|text: &str| {
    let _ = Recipe::parse("fuzz.toml", text);
    let Ok(settings) = Settings::parse("fuzz.toml", text) else { return };
    let again = settings.to_toml().expect("TOML holds what it has given");
    assert_eq!(Settings::parse("again.toml", &again).expect("what is written is read back"), settings);
    let mut set = Settings::default();
    for (field, texts) in settings.given() {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        // An empty list is written as one empty text, and some texts cannot be given by a flag.
        let _ = set.set(field, &texts);
    }
    let Ok(plan) = Plan::new(&settings) else { return };
    let written = plan.to_toml().expect("TOML holds a plan");
    let read = Settings::parse("plan.toml", &written).expect("a plan is a settings file");
    assert_eq!(Plan::new(&read).expect("a plan is made again of its settings"), plan);
});
