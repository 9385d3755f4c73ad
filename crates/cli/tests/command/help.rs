//! Help texts, whole.

use crate::sandbox::Sandbox;

fn help(arguments: &[&str]) -> String {
    Sandbox::new().run(&[arguments, &["--help"]].concat()).success()
}

#[test]
fn of_the_command() {
    insta::assert_snapshot!(help(&[]));
}

#[test]
fn of_train() {
    insta::assert_snapshot!(help(&["train"]));
}

#[test]
fn of_all_settings() {
    insta::assert_snapshot!(Sandbox::new().run(&["train", "--help-all"]).success());
    insta::assert_snapshot!(
        Sandbox::new().run(&["help", "train"]).success().lines().take(3).collect::<String>()
    );
}

#[test]
fn of_eval() {
    insta::assert_snapshot!(help(&["eval"]));
}

#[test]
fn of_serve() {
    insta::assert_snapshot!(help(&["serve"]));
}

#[test]
fn of_score() {
    insta::assert_snapshot!(help(&["score"]));
}

#[test]
fn of_surprisal() {
    insta::assert_snapshot!(help(&["surprisal"]));
}

#[test]
fn of_filter() {
    insta::assert_snapshot!(help(&["filter"]));
}

#[test]
fn of_generate() {
    insta::assert_snapshot!(help(&["generate"]));
}

#[test]
fn of_normalizer() {
    insta::assert_snapshot!(help(&["normalizer", "fit"]));
}

#[test]
fn of_quantize() {
    insta::assert_snapshot!(help(&["quantize"]));
}

#[test]
fn of_neighbors() {
    insta::assert_snapshot!(help(&["neighbors"]));
}

#[test]
fn of_complete() {
    insta::assert_snapshot!(help(&["complete"]));
}

#[test]
fn of_reproduce() {
    insta::assert_snapshot!(help(&["reproduce"]));
}

#[test]
fn of_rescore() {
    insta::assert_snapshot!(help(&["rescore"]));
}

#[test]
fn of_pairs() {
    insta::assert_snapshot!(help(&["pairs"]));
}

#[test]
fn of_compare() {
    insta::assert_snapshot!(help(&["compare"]));
}

#[test]
fn of_plot() {
    insta::assert_snapshot!(help(&["plot"]));
}

#[test]
fn of_runs() {
    insta::assert_snapshot!(help(&["runs"]));
}

#[test]
fn of_bench() {
    insta::assert_snapshot!(help(&["bench"]));
}

#[test]
fn of_datasets() {
    insta::assert_snapshot!(help(&["datasets"]));
}

#[test]
fn of_recipes() {
    insta::assert_snapshot!(help(&["recipes"]));
    insta::assert_snapshot!(help(&["recipes", "show"]));
    insta::assert_snapshot!(help(&["recipes", "verify"]));
}

#[test]
fn of_models() {
    insta::assert_snapshot!(help(&["models"]));
}

#[test]
fn of_completions() {
    insta::assert_snapshot!(help(&["completions"]));
}

#[test]
fn nothing_at_all_is_answered_with_help_and_exit_code_2() {
    let said = Sandbox::new().run(&[]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
    assert!(said.stderr.contains("Usage: rondo <COMMAND>"), "{}", said.stderr);
}

#[test]
fn of_convert() {
    insta::assert_snapshot!(help(&["convert"]));
}
