//! Evaluation, scoring and sampling of recurrent language models.
