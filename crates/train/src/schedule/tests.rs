//! Tests of the schedules: what they decide after each epoch, and the learning rate of each step.

use super::*;

/// Runs `rule` from a learning rate of 16 and returns its decisions: best, rate, reload.
fn decisions(rule: ScheduleRule, losses: &[f64]) -> Vec<(bool, f64, bool)> {
    let mut schedule = Schedule::new(rule, 16.0);
    losses
        .iter()
        .map(|&loss| schedule.after_epoch(Validation::Loss(loss)))
        .map(|decision| (decision.is_best, decision.learning_rate, decision.reload_best))
        .collect()
}

fn plateau(patience: usize, reload_best: bool) -> ScheduleRule {
    ScheduleRule::Plateau { decay_factor: 0.25, patience, reload_best }
}

#[test]
fn a_plateau_lowers_the_rate_whenever_an_epoch_is_no_better() {
    let expected = [(true, 16.0, false), (false, 4.0, false), (true, 4.0, false), (false, 1.0, false)];
    assert_eq!(decisions(plateau(1, false), &[5.0, 5.0, 4.0, 4.5]), expected);
}

#[test]
fn a_plateau_can_go_on_from_the_best() {
    let expected = [(true, 16.0, false), (false, 4.0, true), (false, 1.0, true)];
    assert_eq!(decisions(plateau(1, true), &[5.0, 6.0, 6.0]), expected);
}

#[test]
fn patience_counts_epochs_since_the_best_or_the_last_decay() {
    let expected = [(true, 16.0), (false, 16.0), (false, 4.0), (false, 4.0), (true, 4.0), (false, 4.0)];
    let found = decisions(plateau(2, false), &[5.0, 6.0, 6.0, 6.0, 4.0, 6.0]);
    assert_eq!(found.iter().map(|&(best, rate, _)| (best, rate)).collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_not_finite_is_never_best_and_there_is_then_nothing_to_reload() {
    let expected = [(false, 4.0, false), (false, 1.0, false), (true, 1.0, false), (false, 0.25, true)];
    assert_eq!(decisions(plateau(1, true), &[f64::NAN, f64::INFINITY, 9.0, f64::NAN]), expected);
}

#[test]
fn a_step_lowers_the_rate_every_so_many_epochs() {
    let rule = ScheduleRule::Step { decay_factor: 0.5, decay_every: 2 };
    let rates: Vec<f64> = decisions(rule, &[3.0; 5]).iter().map(|decision| decision.1).collect();
    assert_eq!(rates, [16.0, 8.0, 8.0, 4.0, 4.0]);
}

#[test]
fn without_a_validation_text_the_latest_is_the_best_and_a_plateau_never_ends() {
    let mut schedule = Schedule::new(plateau(1, true), 16.0);
    for _ in 0..3 {
        let expected = Decision { is_best: true, learning_rate: 16.0, reload_best: false };
        assert_eq!(schedule.after_epoch(Validation::NoText), expected);
    }
    assert_eq!(schedule.best_loss(), None);
}

#[test]
fn an_epoch_that_is_not_evaluated_changes_nothing() {
    let mut schedule = Schedule::new(plateau(1, false), 16.0);
    schedule.after_epoch(Validation::Loss(5.0));
    let expected = Decision { is_best: false, learning_rate: 16.0, reload_best: false };
    assert_eq!(schedule.after_epoch(Validation::NotDue), expected);
    assert_eq!((schedule.epochs(), schedule.best_loss()), (2, Some(5.0)));
}

#[test]
fn a_model_that_is_there_must_be_beaten() {
    let mut schedule = Schedule::new(plateau(1, true), 16.0);
    schedule.begin_with(Validation::Loss(5.0));
    let expected = Decision { is_best: false, learning_rate: 4.0, reload_best: true };
    assert_eq!(schedule.after_epoch(Validation::Loss(5.5)), expected);
    assert!(schedule.after_epoch(Validation::Loss(4.5)).is_best);
}

#[test]
fn a_change_sets_the_rate_and_restarts_the_counts_but_not_the_best() {
    let mut schedule = Schedule::new(plateau(2, false), 16.0);
    for loss in [5.0, 6.0] {
        schedule.after_epoch(Validation::Loss(loss));
    }
    schedule.change(plateau(2, false), Some(3.0));
    assert_eq!((schedule.learning_rate(), schedule.best_loss()), (3.0, Some(5.0)));
    let rates = [6.0, 6.0].map(|loss| schedule.after_epoch(Validation::Loss(loss)).learning_rate);
    assert_eq!(rates, [3.0, 0.75]);

    schedule.change(ScheduleRule::Step { decay_factor: 0.5, decay_every: 2 }, None);
    let rates = [6.0, 6.0].map(|loss| schedule.after_epoch(Validation::Loss(loss)).learning_rate);
    assert_eq!(rates, [0.75, 0.375]);
}

#[test]
fn a_saved_schedule_goes_on_as_if_uninterrupted() {
    let losses = [5.0, 5.1, 4.9, 5.2, 5.3, 5.3, 4.0];
    for rule in [plateau(2, true), ScheduleRule::Step { decay_factor: 0.1, decay_every: 3 }] {
        let whole = decisions(rule, &losses);
        let mut schedule = Schedule::new(rule, 16.0);
        for (loss, expected) in losses.into_iter().zip(whole) {
            let saved = serde_json::to_string(&schedule).unwrap();
            schedule = serde_json::from_str(&saved).unwrap();
            let found = schedule.after_epoch(Validation::Loss(loss));
            assert_eq!((found.is_best, found.learning_rate, found.reload_best), expected);
        }
    }
}

/// The learning rates of the steps of a run, in a schedule that is saved and loaded before each step.
fn rates(schedule: &mut Schedule, steps: std::ops::Range<u64>, length: u64) -> Vec<f64> {
    let rate = |step: u64| {
        let saved = serde_json::to_string(schedule).unwrap();
        *schedule = serde_json::from_str(&saved).unwrap();
        let position = step as f64 / length as f64;
        let rate = schedule.before_step(step, position);
        // A step that is tried again, such as after an interruption, has the same rate.
        assert_eq!(schedule.before_step(step, position), rate);
        assert_eq!(schedule.step_learning_rate(), rate);
        rate
    };
    steps.map(rate).collect()
}

const LINEAR: ScheduleRule = ScheduleRule::Linear { min_learning_rate: 0.0 };
const COSINE: ScheduleRule = ScheduleRule::Cosine { min_learning_rate: 0.0 };

#[test]
fn a_decay_over_the_run_ends_one_step_above_the_minimum() {
    let mut schedule = Schedule::new(LINEAR, 16.0);
    assert_eq!(rates(&mut schedule, 0..4, 4), [16.0, 12.0, 8.0, 4.0]);
    let mut schedule = Schedule::new(ScheduleRule::Linear { min_learning_rate: 8.0 }, 16.0);
    assert_eq!(rates(&mut schedule, 0..4, 4), [16.0, 14.0, 12.0, 10.0]);
    let mut schedule = Schedule::new(COSINE, 16.0);
    let found = rates(&mut schedule, 0..4, 4);
    assert_eq!((found[0], found[2]), (16.0, 8.0));
    assert!((found[3] - 8.0 * (1.0 - 0.5_f64.sqrt())).abs() < 1e-12, "{found:?}");
}

#[test]
fn a_minimum_above_the_rate_does_not_raise_it() {
    let mut schedule = Schedule::new(ScheduleRule::Cosine { min_learning_rate: 8.0 }, 4.0);
    assert_eq!(rates(&mut schedule, 0..3, 3), [4.0, 4.0, 4.0]);
}

#[test]
fn warm_up_multiplies_the_rate_of_every_rule_and_decay_starts_after_it() {
    for rule in [ScheduleRule::Constant, plateau(1, false)] {
        let mut schedule = Schedule::new(rule, 16.0).with_warmup(3);
        assert_eq!(rates(&mut schedule, 0..5, 5), [4.0, 8.0, 12.0, 16.0, 16.0]);
    }
    let mut schedule = Schedule::new(LINEAR, 16.0).with_warmup(3);
    let found = rates(&mut schedule, 0..7, 7);
    for (found, expected) in found.iter().zip([4.0, 8.0, 12.0, 16.0, 12.0, 8.0, 4.0]) {
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }
}

#[test]
fn a_plateau_in_the_warm_up_lowers_what_is_warmed_up_to() {
    let mut schedule = Schedule::new(plateau(1, false), 16.0).with_warmup(3);
    assert_eq!(rates(&mut schedule, 0..2, 5), [4.0, 8.0]);
    schedule.after_epoch(Validation::Loss(5.0));
    schedule.after_epoch(Validation::Loss(6.0));
    assert_eq!(schedule.learning_rate(), 4.0);
    assert_eq!(rates(&mut schedule, 2..5, 5), [3.0, 4.0, 4.0]);
}

#[test]
fn a_warm_up_longer_than_the_run_is_all_there_is() {
    let mut schedule = Schedule::new(COSINE, 16.0).with_warmup(7);
    assert_eq!(rates(&mut schedule, 0..4, 4), [2.0, 4.0, 6.0, 8.0]);
}

#[test]
fn a_change_in_the_middle_continues_from_the_current_rate() {
    let mut schedule = Schedule::new(LINEAR, 16.0);
    rates(&mut schedule, 0..3, 4);
    schedule.change(ScheduleRule::Constant, None);
    assert_eq!(rates(&mut schedule, 3..5, 6), [8.0, 8.0]);
    // Two steps are left of eight.
    schedule.change(LINEAR, Some(20.0));
    assert_eq!(schedule.learning_rate(), 20.0);
    assert_eq!(rates(&mut schedule, 6..8, 8), [20.0, 10.0]);
}

#[test]
fn a_decay_does_not_depend_on_losses_and_a_rollback_lowers_all_of_it() {
    let mut schedule = Schedule::new(LINEAR, 16.0);
    assert_eq!(rates(&mut schedule, 0..2, 4), [16.0, 12.0]);
    let before = schedule.clone();
    for loss in [5.0, 6.0] {
        let decision = schedule.after_epoch(Validation::Loss(loss));
        assert_eq!((decision.learning_rate, decision.reload_best), (12.0, false));
    }
    schedule.lower_learning_rate(&before, 0.5);
    assert_eq!(rates(&mut schedule, 1..4, 4), [6.0, 4.0, 2.0]);
}

#[test]
fn a_schedule_of_version_0_1_0_is_read() {
    let saved = r#"{"rule":{"kind":"constant"},"learning_rate":4.0,"epochs":2,"best_loss":5.0,"epochs_without_best":1}"#;
    let mut schedule: Schedule = serde_json::from_str(saved).unwrap();
    assert_eq!((schedule.step_learning_rate(), schedule.before_step(9, 0.5)), (4.0, 4.0));
}
