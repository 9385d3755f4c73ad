//! Corpora, vocabularies, tokenisers and BPTT batches.
