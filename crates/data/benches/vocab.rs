//! Throughput in words per second: lookup, counting, and encoding text to ids.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rondo_data::{Counter, TextCodec, Tokenizer, Vocab, VocabOptions};

/// A text with Zipf-like frequencies over 30,000 types, as in WikiText-2, with twenty words per line.
fn text() -> String {
    let word = |index: u32| {
        // A multiplicative congruence spreads the ranks; dividing makes low ones frequent.
        let spread = index.wrapping_mul(2_654_435_761) % 30_000;
        let rank = 30_000 / (1 + spread);
        let rank = if index.is_multiple_of(3) { spread } else { rank };
        if index % 20 == 19 { format!("w{rank}\n") } else { format!("w{rank} ") }
    };
    (0..1_000_000).map(word).collect()
}

fn words(criterion: &mut Criterion) {
    let text = text();
    let words: Vec<&str> = text.split_whitespace().collect();
    let counter: Counter = words.iter().copied().chain(["<eos>"]).collect();
    let vocab = Vocab::from_counter(&counter, &VocabOptions::default()).expect("the text has words");

    let mut group = criterion.benchmark_group("words");
    group.sample_size(20).throughput(Throughput::Elements(words.len() as u64));
    group.bench_function("look up", |bencher| {
        bencher.iter(|| words.iter().filter_map(|word| vocab.id(word)).map(u64::from).sum::<u64>());
    });
    group.bench_function("count", |bencher| {
        bencher.iter(|| words.iter().copied().collect::<Counter>().len());
    });
    group.bench_function("text to ids", |bencher| {
        let codec = TextCodec::new(Tokenizer::default(), vocab.clone());
        bencher.iter(|| {
            codec.encode_reader(black_box(text.as_bytes()), "text").expect("text is valid").ids.len()
        });
    });
    group.finish();
}

criterion_group!(benches, words);
criterion_main!(benches);
