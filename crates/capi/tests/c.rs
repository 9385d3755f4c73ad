//! The interface from Rust and from C: the examples are compiled with the system's C compiler, with and without its address
//! sanitizer, and agree with the library.

#![allow(unsafe_code)] // The functions of the interface are unsafe to call.
#![allow(clippy::unwrap_used)] // A test fails by panicking.

mod model;

use std::ffi::{CStr, CString};
use std::path::Path;
use std::process::Command;
use std::ptr;

use rondo_capi::{
    Preferences, Suggester, Suggestion, rondo_advance, rondo_begin, rondo_encode, rondo_free,
    rondo_last_error, rondo_learn, rondo_line_end, rondo_open, rondo_open_bytes, rondo_score,
    rondo_state_free, rondo_suggest, rondo_suggester_free, rondo_suggester_new, rondo_token,
    rondo_vocab_size,
};
use rondo_infer::{Completing, UserWords};

fn last_error() -> String {
    // SAFETY: it is a text until the next failure.
    unsafe { CStr::from_ptr(rondo_last_error()) }.to_str().unwrap().to_owned()
}

fn c_text(text: impl Into<Vec<u8>>) -> CString {
    CString::new(text).unwrap()
}

#[test]
fn states_advance_as_in_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = model::saved(folder.path());
    let path = c_text(path.to_str().unwrap());
    // SAFETY: all pointers are to values of this function, and what is made is freed once.
    unsafe {
        let opened = rondo_open(path.as_ptr(), 1);
        assert!(!opened.is_null(), "{}", last_error());
        assert_eq!((rondo_vocab_size(opened), rondo_line_end(opened)), (8, 1));
        assert_eq!(CStr::from_ptr(rondo_token(opened, 3)), c"cat");

        let (begin, mut next, mut row) = (rondo_begin(opened), [ptr::null_mut(); 2], [0.0_f32; 16]);
        let states = [begin.cast_const(), begin.cast_const()];
        assert_eq!(
            rondo_advance(opened, states.as_ptr(), [1, 2].as_ptr(), 2, next.as_mut_ptr(), row.as_mut_ptr()),
            0
        );
        let mut decoder = model.decoder();
        let (_, expected) = decoder.advance(&[decoder.begin(), decoder.begin()], &[1, 2]).unwrap();
        assert_eq!(row, [expected.row(0), expected.row(1)].concat()[..]);

        // A failure writes nothing, and the states can still be used.
        let before = (next, row);
        let states = next.map(<*mut _>::cast_const);
        assert_eq!(
            rondo_advance(opened, states.as_ptr(), [3, 8].as_ptr(), 2, next.as_mut_ptr(), row.as_mut_ptr()),
            -1
        );
        assert!(last_error().contains('8'), "{}", last_error());
        assert_eq!((next, row), before);
        let mut after = [ptr::null_mut(); 2];
        assert_eq!(
            rondo_advance(opened, states.as_ptr(), [3, 4].as_ptr(), 2, after.as_mut_ptr(), ptr::null_mut()),
            0
        );
        next.into_iter()
            .chain(after)
            .chain([begin, ptr::null_mut()])
            .for_each(|state| rondo_state_free(state));
        rondo_free(opened);
    }
}

#[test]
fn texts_are_encoded_and_scored() {
    let folder = tempfile::tempdir().unwrap();
    let (model, file) = model::saved(folder.path());
    let (path, line) = (c_text(file.to_str().unwrap()), c_text("the dog sat"));
    // SAFETY: as above.
    unsafe {
        let opened = rondo_open(path.as_ptr(), 0);
        let (mut ids, mut score) = ([9; 2], 0.0);
        assert_eq!(rondo_encode(opened, line.as_ptr(), ids.as_mut_ptr(), 2), 3);
        assert_eq!(ids, [2, 0]);
        assert_eq!(rondo_encode(opened, line.as_ptr(), ptr::null_mut(), 0), 3);
        assert_eq!(rondo_score(opened, line.as_ptr(), &mut score), 4);
        let expected = model.score(&["the dog sat"]).unwrap()[0].score.log_prob_sum;
        assert!((score - expected).abs() < 1e-4, "{score} {expected}");
        rondo_free(opened);

        let mut bytes = std::fs::read(&file).unwrap();
        let opened = rondo_open_bytes(bytes.as_ptr(), bytes.len(), 1);
        bytes.fill(0);
        let mut same = 0.0;
        assert_eq!(rondo_score(opened, line.as_ptr(), &mut same), 4);
        assert!((same - score).abs() < 1e-4, "{same} {score}");
        rondo_free(opened);
        assert!(rondo_open_bytes(bytes.as_ptr(), bytes.len(), 1).is_null());
        assert!(last_error().starts_with("could not load model `the model`"), "{}", last_error());
        assert!(rondo_open_bytes(ptr::null(), 0, 1).is_null());
    }
}

#[test]
fn what_cannot_be_done_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = model::saved(folder.path());
    let path = c_text(path.to_str().unwrap());
    // SAFETY: as above.
    unsafe {
        assert!(rondo_open(ptr::null(), 1).is_null());
        assert_eq!(last_error(), "`path` is NULL");
        assert!(rondo_open(c"/nowhere/model".as_ptr(), 1).is_null());
        assert!(last_error().contains("/nowhere/model"), "{}", last_error());
        assert!(rondo_open(path.as_ptr(), 1 << 40).is_null());
        assert!(last_error().contains("threads"), "{}", last_error());
        assert_eq!(rondo_vocab_size(ptr::null()), 0);

        let opened = rondo_open(path.as_ptr(), 1);
        assert!(rondo_token(opened, 8).is_null());
        assert_eq!(last_error(), "there is no token 8: the vocabulary has 8 tokens");
        let mut score = 0.0;
        assert_eq!(rondo_score(opened, c"\xff".as_ptr(), &mut score), -1);
        assert_eq!(last_error(), "`line` is not UTF-8");
        assert_eq!(rondo_score(opened, c"the".as_ptr(), ptr::null_mut()), -1);
        assert_eq!(last_error(), "`log_prob` is NULL");
        let states = [ptr::null()];
        let mut next = [ptr::null_mut()];
        assert_eq!(
            rondo_advance(opened, states.as_ptr(), [1].as_ptr(), 1, next.as_mut_ptr(), ptr::null_mut()),
            -1
        );
        assert_eq!(last_error(), "`states` is NULL");
        rondo_free(opened);
        rondo_free(ptr::null_mut());
    }
}

/// No preferences.
const NONE: Preferences = Preferences {
    exclude: ptr::null(),
    exclude_count: 0,
    user_words: ptr::null(),
    user_word_weights: ptr::null(),
    user_word_count: 0,
    user_weight: 0.0,
    words_only: false,
    capitalize: false,
};

/// The suggestions for a text, of which there are at most 8.
///
/// # Safety
/// The suggester is one.
unsafe fn suggested(suggester: *mut Suggester, line: &CStr, partial: bool) -> Vec<(String, f64)> {
    let mut found = [Suggestion { word: ptr::null(), log_prob: 0.0 }; 8];
    // SAFETY: there is room for 8, and words are texts until the next call.
    unsafe {
        let count = rondo_suggest(suggester, line.as_ptr(), 8, partial, found.as_mut_ptr());
        let count = usize::try_from(count).unwrap_or_else(|_| panic!("{}", last_error()));
        let word = |found: &Suggestion| CStr::from_ptr(found.word).to_str().unwrap().to_owned();
        found[..count].iter().map(|found| (word(found), found.log_prob)).collect()
    }
}

#[test]
fn suggestions_are_those_of_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = model::saved(folder.path());
    let path = c_text(path.to_str().unwrap());
    let (exclude, own, weights) = ([c"cat".as_ptr()], [c"mouse".as_ptr(), c"mat".as_ptr()], [3.0, 1.0]);
    let mut user_words = UserWords::new(0.5);
    user_words.add("mouse", 3.0).unwrap();
    user_words.add("mat", 1.0).unwrap();
    let preferences = rondo_infer::Preferences {
        excluded: ["cat".to_owned()].into(),
        words_only: true,
        capitalize: true,
        user_words,
    };
    let completer = model.completer().with_preferences(preferences).unwrap();
    let mut expected = rondo_infer::Suggester::new(completer);
    let mut expect = |learned: &str, line: &str| {
        expected.learn(learned).unwrap();
        let completing = Completing { partial: true, ..model.completing(8) };
        let found = expected.suggest(line, &completing).unwrap();
        found.into_iter().map(|found| (found.word, found.log_prob)).collect::<Vec<_>>()
    };
    // SAFETY: as above.
    unsafe {
        let opened = rondo_open(path.as_ptr(), 1);
        let preferences = Preferences {
            exclude: exclude.as_ptr(),
            exclude_count: 1,
            user_words: own.as_ptr(),
            user_word_weights: weights.as_ptr(),
            user_word_count: 2,
            user_weight: 0.5,
            words_only: true,
            capitalize: true,
        };
        let suggester = rondo_suggester_new(opened, &preferences);
        let plain = rondo_suggester_new(opened, ptr::null());
        rondo_free(opened);
        for line in [c"", c"th", c"the", c"the ", c"the m", c"The a"] {
            assert_eq!(suggested(suggester, line, true), expect("", line.to_str().unwrap()), "{line:?}");
        }
        assert_eq!(suggested(suggester, c"the m", true)[0].0, "mouse");
        assert_eq!(rondo_learn(suggester, c"a cat, a moth".as_ptr()), 0);
        let found = suggested(suggester, c"the m", true);
        assert_eq!(found, expect("a cat, a moth", "the m"));
        assert!(found.iter().any(|(word, _)| word == "moth"));

        // All words but the unknown token and the line end.
        let found = suggested(plain, c"the", false);
        let completions = model.complete("the", 8).unwrap().into_iter();
        assert_eq!(found, completions.map(|found| (found.word, found.log_prob)).collect::<Vec<_>>());
        assert_eq!(found.len(), 6);

        // A failure keeps the state and the suggestions.
        let mut one = Suggestion { word: ptr::null(), log_prob: 1.0 };
        assert_eq!(rondo_suggest(plain, c"\xff".as_ptr(), 1, true, &mut one), -1);
        assert_eq!(last_error(), "`line` is not UTF-8");
        assert_eq!(rondo_suggest(plain, c"the".as_ptr(), 0, true, &mut one), -1);
        assert!(last_error().contains("top"), "{}", last_error());
        assert_eq!(rondo_suggest(plain, c"the".as_ptr(), 1, true, ptr::null_mut()), -1);
        assert_eq!(last_error(), "`suggestions` is NULL");
        assert!(one.word.is_null());
        assert_eq!(suggested(plain, c"the", false), found);
        [suggester, plain, ptr::null_mut()].into_iter().for_each(|one| rondo_suggester_free(one));
    }
}

#[test]
fn preferences_that_are_not_possible_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = model::saved(folder.path());
    let path = c_text(path.to_str().unwrap());
    // SAFETY: as above.
    unsafe {
        let opened = rondo_open(path.as_ptr(), 1);
        let own = [c"mouse".as_ptr()];
        let weights = [-1.0];
        for (preferences, expected) in [
            (Preferences { exclude_count: 1, ..NONE }, "`exclude` is NULL"),
            (Preferences { user_weight: 1.0, ..NONE }, "`user_weight` must be at least 0 and below 1"),
            (
                Preferences {
                    user_words: own.as_ptr(),
                    user_word_weights: weights.as_ptr(),
                    user_word_count: 1,
                    ..NONE
                },
                "the weight of `mouse` must be above 0",
            ),
        ] {
            assert!(rondo_suggester_new(opened, &preferences).is_null());
            assert!(last_error().starts_with(expected), "{}", last_error());
        }
        assert!(rondo_suggester_new(ptr::null(), &NONE).is_null());
        assert_eq!(last_error(), "`model` is NULL");
        assert_eq!(rondo_learn(ptr::null_mut(), c"a".as_ptr()), -1);
        assert_eq!(last_error(), "`suggester` is NULL");
        rondo_free(opened);
    }
}

/// Compiles an example with and without the address sanitizer, and runs both. Returns what they print.
fn run_example(name: &str, arguments: [&str; 2]) -> [String; 2] {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The library is in the folder of the tests.
    let libraries = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    assert!(libraries.join("librondo_capi.a").is_file(), "{}", libraries.display());
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(name);
    [&[][..], &["-fsanitize=address", "-fno-omit-frame-pointer"]].map(|sanitizer| {
        let compiled = Command::new("gcc")
            .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-I"])
            .arg(here.join("include"))
            .args(sanitizer)
            .arg(here.join(format!("examples/{name}.c")))
            .arg(libraries.join("librondo_capi.a"))
            .args(["-lpthread", "-ldl", "-lm", "-o"])
            .arg(&program)
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let said = Command::new(&program).args(arguments).output().unwrap();
        assert!(said.status.success(), "{sanitizer:?}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    })
}

#[test]
fn the_beam_search_in_c_finds_what_the_library_finds() {
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = model::saved(folder.path());
    let texts = ["the", "a"]
        .into_iter()
        .flat_map(|first| ["cat", "mat"].map(|second| format!("{first} {second} sat")));
    let score = |text: String| (model.score(&[&text]).unwrap()[0].score.log_prob_sum, text);
    let (best, text) = texts.map(score).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    for found in run_example("beam", [path.to_str().unwrap(), "the|a cat|mat sat"]) {
        let (found, found_text) = found.trim().split_once(' ').unwrap();
        assert_eq!(found_text, text);
        assert!((found.parse::<f64>().unwrap() - best).abs() < 1e-3, "{found} {best}");
    }
}

#[test]
fn the_keyboard_in_c_suggests_what_the_library_suggests() {
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = model::saved(folder.path());
    let text = "The caf\u{e9} m";
    let preferences = rondo_infer::Preferences {
        words_only: true,
        capitalize: true,
        ..rondo_infer::Preferences::default()
    };
    let mut suggester = rondo_infer::Suggester::new(model.completer().with_preferences(preferences).unwrap());
    let completing = Completing { partial: true, ..model.completing(3) };
    let mut expected = String::new();
    let mut show = |suggester: &mut rondo_infer::Suggester, text: &str| {
        expected += text.rsplit(' ').next().unwrap();
        expected += ":";
        for found in suggester.suggest(text, &completing).unwrap() {
            expected += &format!(" {}", found.word);
        }
        expected += "\n";
    };
    for (at, key) in text.char_indices() {
        show(&mut suggester, &text[..at + key.len_utf8()]);
    }
    suggester.learn(text).unwrap();
    show(&mut suggester, "");
    assert!(expected.starts_with("T: The\nTh: The\nThe: The\n:"), "{expected}");
    assert!(expected.contains("\nm: mat\n: The "), "{expected}");
    for found in run_example("keyboard", [path.to_str().unwrap(), text]) {
        assert_eq!(found, expected);
    }
}
