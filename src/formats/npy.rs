//! NumPy's `.npy` arrays.
//!
//! Read here and not by a crate: the header is one line of Python literals in a fixed form, and the crate for it
//! (`npyz` 0.9) parses that line with a grammar engine whose build needs a C compiler.
//!
//! Source: NumPy's `numpy/lib/format.py`, versions 1.0 to 3.0.

use half::f16;

use super::decode;
use crate::budget::Meter;
use crate::{Error, HostTensor, Result, Shape};

/// The array in `bytes`, called `place` in messages.
///
/// # Errors
/// [`Error::Format`] for anything but an array of real numbers, the message says how to convert others; and for a whole number that
/// f32 does not hold exactly.
pub(super) fn parse(bytes: &[u8], place: &str, meter: &Meter) -> Result<FileArray> {
    let (header, data) = split(bytes).ok_or_else(|| Error::format(place, "not a .npy file of version 1, 2 or 3"))?;
    let Header { kind, by_column, dims } = Header::of(header).map_err(|what| {
        let shown: String = header.chars().take(200).collect();
        Error::format(place, format!("the header of the .npy file {what}: {shown}"))
    })?;
    let Some(kind) = kind else {
        return Err(Error::format(place, "arrays of records are not inputs; save one field as float32"));
    };
    let shape = Shape::from(dims);
    let (elements, size) = (shape.elements()?, kind.get(2..).and_then(|size| size.parse().ok()).unwrap_or(1));
    let is_whole = matches!(kind, "<i2" | "<i4" | "<i8" | "<u2" | "<u4" | "<u8");
    if !is_whole && !matches!(kind, "<f4" | ">f4" | "<f8" | ">f8" | "<f2" | ">f2" | "|u1" | "|i1" | "|b1") {
        let text =
            format!("arrays must be of real numbers, and this one is of {kind:?}: save it with `.astype(\"float32\")`");
        return Err(Error::format(place, text));
    }
    if elements.checked_mul(size) != Some(data.len() as u64) {
        let text = format!(
            "the shape {shape} needs {elements} values of {size} bytes, and the file holds {} bytes of them",
            data.len()
        );
        return Err(Error::format(place, text));
    }
    meter.array(elements, if by_column { 8 } else { 4 })?;
    let values = match kind {
        "<f4" => decode(data, f32::from_le_bytes),
        ">f4" => decode(data, f32::from_be_bytes),
        "<f8" => decode(data, |bytes| f64::from_le_bytes(bytes) as f32),
        ">f8" => decode(data, |bytes| f64::from_be_bytes(bytes) as f32),
        "<f2" => decode(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        ">f2" => decode(data, |bytes| f16::from_be_bytes(bytes).to_f32()),
        "|i1" => decode(data, |[byte]: [u8; 1]| f32::from(byte as i8)),
        "<i2" => decode(data, |bytes| i16::from_le_bytes(bytes).into()),
        "<u2" => decode(data, |bytes| u16::from_le_bytes(bytes).into()),
        "<i4" => decode(data, |bytes| i32::from_le_bytes(bytes) as f32),
        "<u4" => decode(data, |bytes| u32::from_le_bytes(bytes) as f32),
        "<i8" => decode(data, |bytes| i64::from_le_bytes(bytes) as f32),
        "<u8" => decode(data, |bytes| u64::from_le_bytes(bytes) as f32),
        _ => data.iter().map(|&byte| byte.into()).collect(),
    };
    // A greater one may have been rounded to it.
    if is_whole && values.iter().any(|value| value.abs() >= EXACT) {
        return Err(Error::format(place, "whole numbers must lie below 2^24 in size; save greater ones as float32"));
    }
    let values = if by_column { by_row(&shape, &values) } else { values };
    Ok(FileArray { tensor: HostTensor { shape, values }, is_bytes: kind == "|u1" })
}

/// The largest whole number up to which f32 holds all.
const EXACT: f32 = 16_777_216.0;

/// An array of a file.
pub(super) struct FileArray {
    pub(super) tensor: HostTensor,
    /// Whether its elements are bytes from 0 to 255, as those of pictures.
    pub(super) is_bytes: bool,
}

/// The bytes of a file of `tensor`, in f32.
pub(super) fn write(tensor: &HostTensor) -> Vec<u8> {
    let extents: String = tensor.shape.dims().iter().map(|extent| format!("{extent}, ")).collect();
    let shape = match tensor.shape.rank() {
        1 => extents.trim_end(),
        _ => extents.trim_end_matches(", "),
    };
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    // With the ten bytes before it and the end of its line it fills whole lines of 64 bytes, as NumPy has it. Its length has
    // two bytes: it is far shorter, for no tensor has as many axes.
    let length = (header.len() + 11).next_multiple_of(64) - 10;
    let header = format!("{header:<width$}\n", width = length - 1);
    let mut bytes = [b"\x93NUMPY\x01\0", &(length as u16).to_le_bytes()[..], header.as_bytes()].concat();
    bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The header and the data.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (length, rest) = match rest {
        [1, 0, low, high, rest @ ..] => (u32::from(u16::from_le_bytes([*low, *high])), rest),
        [2 | 3, 0, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]), rest),
        _ => return None,
    };
    let (header, data) = rest.split_at_checked(length as usize)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// The most axes that an array may have, as in NumPy.
const MOST_AXES: usize = 64;

/// What a header says: a Python dictionary of three keys, in any order, and nothing else.
struct Header<'a> {
    /// The type of an element; `None` for records.
    kind: Option<&'a str>,
    by_column: bool,
    dims: Vec<usize>,
}

impl<'a> Header<'a> {
    /// # Errors
    /// What is wrong, to follow "the header".
    fn of(text: &'a str) -> std::result::Result<Self, &'static str> {
        let mut rest = text.trim().strip_prefix('{').ok_or("must be a dictionary")?.trim_start();
        let (mut kind, mut by_column, mut dims) = (None, None, None);
        loop {
            if let Some(after) = rest.strip_prefix('}') {
                if !after.is_empty() {
                    return Err("must be nothing but a dictionary");
                }
                break;
            }
            let (key, after) = quoted(rest).ok_or("must have texts for keys")?;
            rest = after.trim_start().strip_prefix(':').ok_or("must have a value for each key")?.trim_start();
            let twice = match key {
                "descr" => match quoted(rest) {
                    Some((text, after)) => {
                        rest = after;
                        kind.replace(Some(text)).is_some()
                    }
                    // A list of fields; what follows it is not looked at, since the array is refused for it.
                    None if rest.starts_with('[') => {
                        return Ok(Self { kind: None, by_column: false, dims: Vec::new() });
                    }
                    None => return Err("has no descr that is read"),
                },
                "fortran_order" => {
                    let (value, after) = match (rest.strip_prefix("True"), rest.strip_prefix("False")) {
                        (Some(after), _) => (true, after),
                        (_, Some(after)) => (false, after),
                        _ => return Err("has no fortran_order that is True or False"),
                    };
                    rest = after;
                    by_column.replace(value).is_some()
                }
                "shape" => {
                    let (value, after) = tuple(rest).ok_or("has no shape of whole numbers")?;
                    rest = after;
                    dims.replace(value).is_some()
                }
                _ => return Err("has a key that is not known"),
            };
            if twice {
                return Err("has a key twice");
            }
            rest = rest.trim_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None if rest.starts_with('}') => {}
                None => return Err("must have a comma between its values"),
            }
        }
        Ok(Self {
            kind: kind.ok_or("has no descr")?,
            by_column: by_column.ok_or("has no fortran_order")?,
            dims: dims.ok_or("has no shape")?,
        })
    }
}

/// The text between the quotes that `text` begins with, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote).filter(|(inside, _)| !inside.contains('\\'))
}

/// The numbers of the tuple that `text` begins with, and what follows: `()`, `(2,)`, `(2, 3)`; those that Python 2 wrote
/// may end in an L.
fn tuple(text: &str) -> Option<(Vec<usize>, &str)> {
    let (inside, rest) = text.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim();
    if inside.is_empty() {
        return Some((Vec::new(), rest));
    }
    let (numbers, comma) = inside.strip_suffix(',').map_or((inside, false), |numbers| (numbers, true));
    let number = |text: &str| {
        let text = text.trim();
        let digits = text.strip_suffix('L').unwrap_or(text);
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let numbers = numbers.split(',').map(number).collect::<Option<Vec<usize>>>()?;
    // A number in parentheses is no tuple.
    (numbers.len() <= MOST_AXES && (comma || numbers.len() > 1)).then_some((numbers, rest))
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

    fn parse(bytes: &[u8], place: &str) -> Result<HostTensor> {
        super::parse(bytes, place, &Meter::new(place, bytes.len())).map(|array| array.tensor)
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
    fn what_is_written_is_read() {
        for dims in [&[][..], &[3], &[2, 3], &[1, 0, 4], &[1; 40]] {
            let count: usize = dims.iter().product();
            let tensor = HostTensor::new(dims, (0..count).map(|i| i as f32 - 0.5).collect()).unwrap();
            let bytes = write(&tensor);
            assert_eq!((bytes.len() - 4 * count) % 64, 0, "{dims:?}");
            assert_eq!(parse(&bytes, "x.npy").unwrap(), tensor);
        }
        let text = String::from_utf8_lossy(&write(&HostTensor::new([3], vec![0.0; 3]).unwrap())).into_owned();
        assert!(text.contains("'shape': (3,), }"), "{text}");
    }

    #[test]
    fn headers_are_python() {
        for header in [
            "{'shape': (1, 2L), 'fortran_order': False, 'descr': '<f4'}",
            "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(1,2),}",
            "  { 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 1 , 2 , ) }   \n",
        ] {
            let array = parse(&file(header, &bytes(&[1.0, 2.0])), "x.npy").unwrap();
            assert_eq!(array.shape.dims(), [1, 2], "{header}");
        }
        let scalar = "{'descr': '<f4', 'fortran_order': False, 'shape': ()}";
        assert!(parse(&file(scalar, &bytes(&[1.0])), "x.npy").unwrap().shape.dims().is_empty());
    }

    #[test]
    fn floats_and_bytes_are_read() {
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
        for (kind, byte, value) in [("|u1", 200, 200.0), ("|i1", 200, -56.0), ("|b1", 1, 1.0)] {
            assert_eq!(parse(&file(&header(kind), &[byte]), "x.npy").unwrap().values, [value], "{kind}");
        }
        for (kind, data) in [("<i2", &(-7_i16).to_le_bytes()[..]), ("<i8", &(-7_i64).to_le_bytes())] {
            assert_eq!(parse(&file(&header(kind), data), "x.npy").unwrap().values, [-7.0], "{kind}");
        }
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
        for (header, data, reason) in [
            (good, vec![0; 7], "needs 2 values"),
            (good, vec![0; 9], "needs 2 values"),
            (&good.replace("(2,)", "(2)"), vec![0; 8], "no shape"),
            (&good.replace("(2,)", "(2,,)"), vec![0; 8], "no shape"),
            (&good.replace("(2,)", "(+2,)"), vec![0; 8], "no shape"),
            (&good.replace("}", ", 'shape': (2,)}"), vec![0; 8], "a key twice"),
            (&good.replace("}", ", 'colour': 'red'}"), vec![0; 8], "not known"),
            (&good.replace("}", "} + {}"), vec![0; 8], "nothing but"),
            (&good.replace("False", "Falsehood"), vec![0; 8], "comma"),
            (&good.replace("<f4", "<U1"), vec![0; 8], "astype"),
            (&good.replace("<f4", "<i4"), vec![1; 8], "2^24"),
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
