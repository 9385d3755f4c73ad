//! Recurrent language models: the library.
