//! NumPy's `.npy` arrays.
//!
//! Read here and not by a crate: the header is one line of Python literals in a fixed form, and the crate for it
//! (`npyz` 0.9) parses that line with a grammar engine whose build needs a C compiler.
//!
//! Source: NumPy's `numpy/lib/format.py`, versions 1.0 to 3.0.

use half::f16;

use super::decode;
use crate::{Error, HostTensor, Result, Shape};

/// The array in `bytes`, called `place` in messages.
///
/// # Errors
/// [`Error::Format`] for anything but an array of floating point; the message says how to convert others.
pub(super) fn parse(bytes: &[u8], place: &str) -> Result<HostTensor> {
    let (header, data) = split(bytes).ok_or_else(|| Error::format(place, "not a .npy file of version 1, 2 or 3"))?;
    let broken = |what: &str| Error::format(place, format!("the header of the .npy file has no {what}: {header}"));
    let kind = quoted(after(header, "descr").ok_or_else(|| broken("descr"))?);
    let kind =
        kind.ok_or_else(|| Error::format(place, "arrays of records are not inputs; save one field as float32"))?;
    let by_column = match after(header, "fortran_order") {
        Some(text) if text.starts_with("False") => false,
        Some(text) if text.starts_with("True") => true,
        _ => return Err(broken("fortran_order")),
    };
    let dims = after(header, "shape").and_then(tuple).ok_or_else(|| broken("shape"))?;
    let values = match kind {
        "<f4" => decode(data, f32::from_le_bytes),
        ">f4" => decode(data, f32::from_be_bytes),
        "<f8" => decode(data, |bytes| f64::from_le_bytes(bytes) as f32),
        ">f8" => decode(data, |bytes| f64::from_be_bytes(bytes) as f32),
        "<f2" => decode(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        ">f2" => decode(data, |bytes| f16::from_be_bytes(bytes).to_f32()),
        _ => {
            return Err(Error::format(
                place,
                format!(
                    "inputs must be floating point, and this array is {kind:?}: save it with `.astype(\"float32\")`"
                ),
            ));
        }
    };
    let shape = Shape::from(dims);
    let elements = shape.elements()?;
    if elements != values.len() as u64 {
        let text = format!("the shape {shape} needs {elements} values, and the file holds {}", values.len());
        return Err(Error::format(place, text));
    }
    let values = if by_column { by_row(&shape, &values) } else { values };
    Ok(HostTensor { shape, values })
}

/// The header and the data.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (length, rest) = match rest {
        [1, _, low, high, rest @ ..] => (u32::from(u16::from_le_bytes([*low, *high])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), rest),
        _ => return None,
    };
    let (header, data) = rest.split_at_checked(length as usize)?;
    Some((std::str::from_utf8(header).ok()?.trim_end(), data))
}

/// What follows the key `key` of a Python dictionary.
fn after<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}'")).or_else(|| header.split_once(&format!("\"{key}\"")))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

/// The text between the quotes that `text` begins with.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote).map(|(inside, _)| inside)
}

/// The numbers of the tuple that `text` begins with.
fn tuple(text: &str) -> Option<Vec<usize>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let numbers = inside.split(',').map(str::trim).filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().ok()).collect()
}

/// `values` of an array stored first axis fastest, in the order of last axis fastest.
fn by_row(shape: &Shape, values: &[f32]) -> Vec<f32> {
    let mut index = vec![0usize; shape.rank()];
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let position = index.iter().zip(shape.dims()).rev().fold(0, |position, (&i, &extent)| position * extent + i);
        ordered.push(values[position]);
        for (i, &extent) in index.iter_mut().zip(shape.dims()).rev() {
            *i += 1;
            if *i < extent {
                break;
            }
            *i = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = header.len() as u16;
        [&b"\x93NUMPY\x01\x00"[..], &length.to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn arrays_are_read_in_either_order() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
        let array = parse(&file(header, &bytes(&[0., 1., 2., 3., 4., 5.])), "x.npy").unwrap();
        assert_eq!((array.shape.dims(), &array.values[..]), (&[2, 3][..], &[0., 1., 2., 3., 4., 5.][..]));
        let header = header.replace("False", "True");
        let array = parse(&file(&header, &bytes(&[0., 3., 1., 4., 2., 5.])), "x.npy").unwrap();
        assert_eq!(array.values, [0., 1., 2., 3., 4., 5.]);
    }

    #[test]
    fn every_float_type_is_read() {
        let header = |kind| format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (1,)}}");
        for (kind, data) in [
            ("<f2", &f16::from_f32(1.5).to_le_bytes()[..]),
            (">f2", &f16::from_f32(1.5).to_be_bytes()[..]),
            (">f4", &1.5f32.to_be_bytes()[..]),
            ("<f8", &1.5f64.to_le_bytes()[..]),
            (">f8", &1.5f64.to_be_bytes()[..]),
        ] {
            assert_eq!(parse(&file(&header(kind), data), "x.npy").unwrap().values, [1.5], "{kind}");
        }
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
        for (header, data, reason) in [
            (good, vec![0; 7], "needs 2 values"),
            (&good.replace("<f4", "<i4"), vec![0; 8], "astype"),
            (&good.replace("'<f4'", "[('a', '<f4')]"), vec![0; 8], "records"),
            (&good.replace("(2,)", "(99999999999, 99999999999)"), vec![0; 8], "64 bits"),
            (&good.replace("(2,)", "(-2,)"), vec![0; 8], "no shape"),
            (&good.replace("False", "None"), vec![0; 8], "no fortran_order"),
            ("{}", vec![], "no descr"),
        ] {
            let error = parse(&file(header, &data), "x.npy").unwrap_err().to_string();
            assert!(error.contains(reason), "{header}: {error}");
        }
        let whole = file(good, &[0; 8]);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length], "x.npy").is_err(), "{length}");
        }
        for position in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[position] ^= 1 << bit;
                let _ = parse(&damaged, "x.npy");
            }
        }
    }
}
