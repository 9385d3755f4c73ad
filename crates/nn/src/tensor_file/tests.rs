//! Tests of tensor files: what is written is read, and damage is noticed.

use super::write::bf16_of;
use super::*;

fn written() -> Vec<u8> {
    let tensors = [
        Tensor {
            name: "b".to_owned(),
            shape: vec![2, 2],
            values: Values::Numbers(vec![1.0, -2.0, 0.5, 4.0].into()),
        },
        Tensor { name: "a".to_owned(), shape: vec![3], values: Values::Bytes(b"abc".into()) },
    ];
    let metadata = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
    let mut bytes = Vec::new();
    write_tensors(&tensors, &metadata, &mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<TensorFile<'_>> {
    let file = TensorFile::from_bytes(bytes, Path::new("file"))?;
    file.verify()?;
    Ok(file)
}

#[test]
fn what_is_written_is_read() {
    let bytes = written();
    let file = read(&bytes).unwrap();
    assert!(file.has_checksum());
    assert_eq!(file.metadata().iter().map(|(k, v)| (&**k, &**v)).collect::<Vec<_>>(), [("key", "value")]);
    let mut numbers: Buffer = Buffer::zeros(&Device::cpu(1).unwrap(), 4);
    file.numbers("b", &[2, 2]).unwrap().copy_to(numbers.slice_mut()).unwrap();
    assert_eq!(*numbers.read().unwrap(), [1.0, -2.0, 0.5, 4.0]);
    let (shape, numbers) = file.any_numbers("b").unwrap();
    assert_eq!((shape, numbers.to_vec().unwrap()), (vec![2, 2], vec![1.0, -2.0, 0.5, 4.0]));
    assert!(file.any_numbers("a").is_none() && file.any_numbers("c").is_none());
    assert_eq!(*file.bytes("a").unwrap(), *b"abc");
    assert!(matches!(file.bytes("b"), Err(NnError::Type { .. })));
    assert!(matches!(file.numbers("b", &[4]), Err(NnError::Shape { .. })));
    assert!(matches!(file.numbers("c", &[4]), Err(NnError::MissingTensor { .. })));
}

/// A file on the disk and its bytes give the same tensors, and the same errors.
#[test]
fn a_file_is_read_like_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let large: Vec<f32> = (0..2 * NUMBERS_AT_ONCE + 7).map(|number| number as f32 + 0.5).collect();
    let large =
        Tensor { name: "large".to_owned(), shape: vec![large.len()], values: Values::Numbers(large.into()) };
    let mut bytes = Vec::new();
    write_tensors(std::slice::from_ref(&large), &BTreeMap::new(), &mut bytes).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let file = TensorFile::open(&path).unwrap();
    file.verify().unwrap();
    let (Values::Numbers(expected), found) = (large.values, file.any_numbers("large").unwrap().1) else {
        unreachable!()
    };
    assert_eq!(found.to_vec().unwrap(), *expected);
    let mut numbers: Buffer = Buffer::zeros(&Device::cpu(1).unwrap(), expected.len());
    found.copy_to(numbers.slice_mut()).unwrap();
    assert_eq!(*numbers.read().unwrap(), *expected);

    let mapped = TensorFile::map(&path).unwrap();
    mapped.verify().unwrap();
    let found = mapped.any_numbers("large").unwrap().1.to_buffer(&Device::cpu(1).unwrap()).unwrap();
    assert_eq!(*found.read().unwrap(), *expected);
    assert!(
        mapped.content.in_memory().unwrap().as_ptr_range().contains(&found.read().unwrap().as_ptr().cast())
    );

    let bytes = written();
    let said = |error: NnError| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {cause:?}").replace(&path.display().to_string(), "file")
    };
    let check = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let contents = |file: TensorFile<'_>| {
            file.verify()?;
            Ok((file.bytes("a")?.into_owned(), file.numbers("b", &[2, 2])?.to_vec()?))
        };
        let expected = read(bytes).and_then(contents).map_err(said);
        assert_eq!(TensorFile::open(&path).and_then(contents).map_err(said), expected);
        assert_eq!(TensorFile::map(&path).and_then(contents).map_err(said), expected);
    };
    (0..=bytes.len()).for_each(|len| check(&bytes[..len]));
    check(&[&bytes[..], b"0"].concat());
    for bit in (0..8 * bytes.len()).step_by(3) {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        check(&damaged);
    }
}

#[test]
fn bf16_is_rounded_to_the_nearest_and_ties_to_even() {
    let check = |number: f32, expected: f32| assert_eq!(from_bf16(bf16_of(number)), expected, "{number}");
    for exact in [0.0, 1.0, -1.5, 0.007_812_5, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(1 << 16)] {
        check(exact, exact);
    }
    // Around 1, bf16 numbers are 1 / 128 apart.
    check(1.0 + 0.4 / 128.0, 1.0);
    check(1.0 + 0.6 / 128.0, 1.0 + 1.0 / 128.0);
    check(1.0 + 0.5 / 128.0, 1.0);
    check(1.0 + 1.5 / 128.0, 1.0 + 2.0 / 128.0);
    check(-1.0 - 1.5 / 128.0, -1.0 - 2.0 / 128.0);
    check(f32::MAX, f32::INFINITY);
    assert!(from_bf16(bf16_of(f32::from_bits(0x7f80_0001))).is_nan());
    assert!(bf16_of(-0.0) == 0x8000);
}

#[test]
fn bf16_takes_half_the_space_and_comes_back_exactly() {
    let numbers = vec![1.0, -2.5, 3.140_625, 0.0];
    let write = |values| {
        let mut bytes = Vec::new();
        let tensor = Tensor { name: "b".to_owned(), shape: vec![4], values };
        write_tensors(&[tensor], &BTreeMap::new(), &mut bytes).unwrap();
        bytes
    };
    let bytes = write(Values::Bf16(numbers.clone().into()));
    let file = read(&bytes).unwrap();
    let (shape, found) = file.any_numbers("b").unwrap();
    assert_eq!((shape, found.to_vec().unwrap()), (vec![4], numbers.clone()));
    assert_eq!(file.numbers("b", &[4]).unwrap().to_vec().unwrap(), numbers);
    let data = |bytes: &[u8]| bytes.len() - 8 - SafeTensors::read_metadata(bytes).unwrap().0;
    assert_eq!(2 * data(&bytes), data(&write(Values::Numbers(numbers.into()))));
}

#[test]
fn no_wrong_bit_goes_unnoticed() {
    let bytes = written();
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // If the checksum's own name is damaged, the file reads as one without a checksum, which callers
        // that need one reject.
        match read(&damaged) {
            Err(_) => {}
            Ok(file) => assert!(!file.has_checksum(), "bit {bit}"),
        }
    }
}

#[test]
fn no_shorter_file_is_taken_for_a_whole_one() {
    let bytes = written();
    for len in 0..bytes.len() {
        assert!(read(&bytes[..len]).is_err(), "{len}");
    }
}
