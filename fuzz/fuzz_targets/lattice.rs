//! Lattices in every format, and Kaldi's table of words: an error, or a lattice without cycles, in which
//! every node is on a path. The first byte is the format; a form feed separates the table.

#![no_main]

use std::ops::ControlFlow;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rondo_infer::lattice::{LatticeFormat, LatticeReader, SymbolTable};

fuzz_target!(|input: &[u8]| {
    let [how, texts @ ..] = input else { return };
    let format = LatticeFormat::ALL[usize::from(how / 2) % LatticeFormat::ALL.len()];
    let mut texts = texts.splitn(2, |&byte| byte == 0x0C);
    let (text, table) = (texts.next().unwrap_or_default(), texts.next());
    let mut reader = LatticeReader::new(format).lossy(how % 2 == 1);
    if let Some(Ok(table)) = table.map(|table| SymbolTable::read(table, "words")) {
        reader = reader.with_symbols(Arc::new(table));
    }
    let read = reader.read(text, "lattice", "id", &mut |lattice| {
        let last = lattice.nodes() - 1;
        assert!(last > 0 && lattice.paths() >= 1.0);
        assert!(lattice.links().is_sorted_by_key(|link| link.to));
        let (mut reached, mut left) = (vec![false; last + 1], vec![false; last + 1]);
        for link in lattice.links() {
            assert!(link.from < link.to && link.to <= last);
            assert!(link.acoustic.is_finite() && link.lm.is_finite());
            assert!(link.word.is_none_or(|word| word < lattice.words().len()));
            (reached[link.to], left[link.from]) = (true, true);
        }
        assert!(reached[1..].iter().all(|&reached| reached) && left[..last].iter().all(|&left| left));
        ControlFlow::Continue(())
    });
    if let Err(error) = read {
        assert!(!error.to_string().is_empty());
    }
});
