//! Fused forward and backward operations of recurrent language models.
