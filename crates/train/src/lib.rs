//! The training loop of recurrent language models: plans, schedules, metrics, runs.
