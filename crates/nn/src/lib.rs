//! The tape, layers, recurrent language models and the model file.
