//! Files, changed at random: as bytes, and as what they are, so that a change is not stopped by the first length or checksum.

use std::io::{Cursor, Read, Write};

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// Numbers from a seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound.max(1) as u64) as usize
    }

    /// One of `list`, which is not empty.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A place in `length`, and a short stretch behind it.
    fn stretch(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        let most = if self.below(4) == 0 { length - start } else { 16.min(length - start) };
        start..start + self.below(most + 1)
    }

    /// A number that programs trip over.
    fn number(&mut self) -> u64 {
        let edges = [0u64, 1 << 7, 1 << 8, 1 << 15, 1 << 16, 1 << 24, 1 << 31, 1 << 32, 1 << 40, 1 << 53, 1 << 63];
        match self.below(4) {
            0 => self.below(20) as u64,
            1 => (self.below(20) as u64).wrapping_neg(),
            2 => self.pick(&edges).wrapping_sub(1),
            _ => self.pick(&edges).wrapping_add(self.below(2) as u64),
        }
    }
}

/// What is known of a format beyond its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A ZIP archive, of JSON and HDF5 or of arrays.
    Archive,
    /// A JSON text.
    Json,
    /// Messages of Protocol Buffers.
    Onnx,
    /// The length of a JSON text, the text, and data.
    Safetensors,
    /// Chunks with checksums.
    Png,
    /// A header of text with its length, and data.
    Npy,
    /// Any other.
    Bytes,
}

/// A file of random changes to some of `seeds`, which are not empty.
pub fn mutant(format: Format, seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..=random.below(4) {
        let other = random.pick(seeds);
        let structured = if random.below(4) > 0 { structured(format, &bytes, other, random) } else { None };
        bytes = structured.unwrap_or_else(|| changed_bytes(bytes, other, random));
    }
    bytes.truncate(1 << 20);
    bytes
}

/// `None` where `bytes` are no longer of their format.
fn structured(format: Format, bytes: &[u8], other: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    match format {
        Format::Archive => archive(bytes, other, random),
        Format::Json => changed_json(bytes, other, random),
        Format::Onnx => messages(bytes, other, random),
        Format::Safetensors => {
            let text = |bytes: &[u8]| {
                let length = u64::from_le_bytes(*bytes.first_chunk()?);
                Some(bytes.get(8..usize::try_from(length).ok()?.checked_add(8)?)?.to_vec())
            };
            let (header, other) = (text(bytes)?, text(other)?);
            let changed = changed_json(&header, &other, random)?;
            Some([&(changed.len() as u64).to_le_bytes(), &*changed, &bytes[8 + header.len()..]].concat())
        }
        Format::Png => chunks(bytes, other, random),
        Format::Npy => {
            let end = 10 + usize::from(u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?]));
            let header = changed_digits(bytes.get(10..end)?.to_vec(), random);
            let length = u16::try_from(header.len()).ok()?.to_le_bytes();
            Some([&bytes[..8], &length, &*header, &bytes[end..]].concat())
        }
        Format::Bytes => None,
    }
}

/// One change that knows nothing of a format.
fn changed_bytes(mut bytes: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    if bytes.is_empty() {
        return other.to_vec();
    }
    match random.below(10) {
        0 => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        1 => {
            let at = random.below(bytes.len());
            bytes[at] = *random.pick(&[0, 1, 0x7f, 0x80, 0xff, random.0 as u8]);
        }
        2..=4 => {
            // A number where a format may have one: at a multiple of its size, in either order of bytes.
            let size = *random.pick(&[1, 2, 4, 8]);
            let at = random.below(bytes.len() / size + 1) * size;
            let number = random.number();
            let number = if random.below(2) == 0 {
                number.to_le_bytes()
            } else {
                number.rotate_right(8 * size as u32).swap_bytes().to_le_bytes()
            };
            for (to, from) in bytes.iter_mut().skip(at).take(size).zip(number) {
                *to = from;
            }
        }
        5 => bytes.truncate(random.below(bytes.len())),
        6 => drop(bytes.drain(random.stretch(bytes.len()))),
        7 => {
            let copied = bytes[random.stretch(bytes.len())].to_vec();
            let times = if random.below(8) == 0 { 200 } else { 1 };
            let at = random.below(bytes.len());
            bytes.splice(at..at, copied.repeat(times));
        }
        8 if !other.is_empty() => {
            let from = other[random.stretch(other.len())].to_vec();
            let over = random.stretch(bytes.len());
            bytes.splice(over, from);
        }
        _ => return changed_digits(bytes, random),
    }
    bytes
}

/// Another number in place of one that is written in digits.
fn changed_digits(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let start = random.below(bytes.len());
    if let Some(found) = bytes.iter().skip(start).position(u8::is_ascii_digit) {
        let at = start + found;
        let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = if random.below(2) == 0 { random.number() as i64 } else { random.below(9) as i64 };
        bytes.splice(at..end, number.to_string().into_bytes());
    }
    bytes
}

// JSON

fn changed_json(bytes: &[u8], other: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(bytes).ok()?;
    let other: Value = serde_json::from_slice(other).ok()?;
    let mut which = random.below(count(&json));
    let node = nth(&mut json, &mut which)?;
    match random.below(8) {
        0 => *node = scalar(random),
        // A part of another file, or of this.
        1 => {
            let mut other = other;
            let mut which = random.below(count(&other));
            *node = nth(&mut other, &mut which)?.take();
        }
        _ => {
            match node {
                Value::Array(list) => match random.below(5) {
                    0 if !list.is_empty() => drop(list.remove(random.below(list.len()))),
                    1 if !list.is_empty() => {
                        let times = *random.pick(&[1, 1, 2, 300]);
                        let copied = random.pick(list).clone();
                        list.extend(std::iter::repeat_n(copied, times));
                    }
                    2 if !list.is_empty() => {
                        let (a, b) = (random.below(list.len()), random.below(list.len()));
                        list.swap(a, b);
                    }
                    3 => list.clear(),
                    _ => list.push(scalar(random)),
                },
                Value::Object(map) => {
                    let keys: Vec<String> = map.keys().cloned().collect();
                    let key = keys.get(random.below(keys.len())).cloned().unwrap_or_default();
                    match random.below(4) {
                        0 => drop(map.remove(&key)),
                        1 => drop(map.insert(key, scalar(random))),
                        2 => {
                            let other = keys.get(random.below(keys.len())).cloned().unwrap_or_default();
                            let value = map.get(&other).cloned().unwrap_or_default();
                            map.insert(key, value);
                        }
                        _ => drop(map.insert(
                            random.pick(&["", "name", "class_name", "config", "\u{202e}"]).to_string(),
                            json!({}),
                        )),
                    }
                }
                Value::Number(number) => {
                    let value = number.as_i64().unwrap_or_default();
                    *node = match random.below(5) {
                        0 => json!(value.wrapping_add(1)),
                        1 => json!(value.wrapping_sub(1)),
                        2 => json!(value.wrapping_neg()),
                        3 => json!(value.wrapping_mul(*random.pick(&[2, 3, 1000]))),
                        _ => scalar(random),
                    };
                }
                node => *node = scalar(random),
            }
        }
    }
    let mut bytes = serde_json::to_vec(&json).ok()?;
    if random.below(50) == 0 {
        // Deeper than any reader should follow.
        bytes = [&b"[".repeat(5000), &*bytes].concat();
    }
    Some(bytes)
}

fn scalar(random: &mut Random) -> Value {
    match random.below(10) {
        0 => Value::Null,
        1 => json!(random.below(2) == 0),
        2 => json!([]),
        3 => json!({}),
        4 => json!(*random.pick(&[0.5, -0.0, 1e-45, 1e38, 1e39, -1e308, 1e17])),
        5 => json!(*random.pick(&[
            "",
            "a/b",
            "\u{1b}[2J",
            "\u{202e}",
            "None",
            "relu",
            "same",
            "channels_first",
            "float16",
            "ReLU",
            "Sequential"
        ])),
        6 => json!("a".repeat(1 << random.below(16))),
        7 => json!(vec![random.number() as i64; random.below(6)]),
        _ => json!(random.number() as i64),
    }
}

/// The number of values in `json`, itself included.
fn count(json: &Value) -> usize {
    1 + match json {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

fn nth<'a>(json: &'a mut Value, which: &mut usize) -> Option<&'a mut Value> {
    if *which == 0 {
        return Some(json);
    }
    *which -= 1;
    match json {
        Value::Array(list) => list.iter_mut().find_map(|value| nth(value, which)),
        Value::Object(map) => map.values_mut().find_map(|value| nth(value, which)),
        _ => None,
    }
}

// ZIP

fn archive(bytes: &[u8], other: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let (mut entries, others) = (entries(bytes)?, entries(other)?);
    if entries.is_empty() || others.is_empty() {
        return None;
    }
    let at = random.below(entries.len());
    let (name, content) = &mut entries[at];
    let same = others.iter().find(|(other, _)| other == name).map_or(&others[0].1, |(_, content)| content);
    match random.below(20) {
        0 => drop(entries.remove(at)),
        1 => {
            *name =
                changed_digits(format!("{name}0").into_bytes(), random).iter().map(|&byte| char::from(byte)).collect()
        }
        2 => *content = same.clone(),
        3 => *content = vec![*random.pick(b"[ {0\""); 1 << random.below(22)],
        _ if name.ends_with(".json") => *content = changed_json(content, same, random)?,
        _ => *content = changed_bytes(std::mem::take(content), same, random),
    }
    zip(&entries)
}

/// A ZIP archive of these names and contents.
pub fn zip(entries: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(name.as_str(), SimpleFileOptions::default()).ok()?;
        writer.write_all(content).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}

/// The names and contents of what a ZIP archive holds.
pub fn entries(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).ok()?;
        let (name, mut content) = (entry.name().ok()?.into_owned(), Vec::new());
        entry.take(4 << 20).read_to_end(&mut content).ok()?;
        entries.push((name, content));
    }
    Some(entries)
}

// Protocol Buffers

#[derive(Clone, Debug)]
struct Field {
    number: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Number(u64),
    Eight([u8; 8]),
    Four([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

fn messages(bytes: &[u8], other: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let (mut message, other) = (parse(bytes, 8)?, parse(other, 8)?);
    let mut which = random.below(fields(&message));
    change_nth(&mut message, &mut which, &other, random);
    let mut bytes = Vec::new();
    write(&message, &mut bytes);
    Some(bytes)
}

/// The ONNX model `bytes` with the weights that it holds as bytes in the file called `weights` beside it, from its start on.
pub fn external(bytes: &[u8], weights: &str) -> Option<Vec<u8>> {
    let text = |number, text: &str| Field { number, content: Content::Bytes(text.as_bytes().to_vec()) };
    let entry = |key, value: &str| Content::Message(vec![text(1, key), text(2, value)]);
    let mut model = parse(bytes, 3)?;
    // ModelProto.graph, GraphProto.initializer, TensorProto.raw_data; its external_data and data_location.
    let graphs = model.iter_mut().filter(|field| field.number == 7);
    let initializers = graphs.filter_map(inner).flatten().filter(|field| field.number == 5);
    for tensor in initializers.filter_map(inner) {
        let Some(raw) = tensor.iter().position(|field| field.number == 9) else { continue };
        let length = match tensor.remove(raw).content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Message(fields) => {
                let mut bytes = Vec::new();
                write(&fields, &mut bytes);
                bytes.len()
            }
            _ => return None,
        };
        tensor.push(Field { number: 13, content: entry("location", weights) });
        tensor.push(Field { number: 13, content: entry("length", &length.to_string()) });
        tensor.push(Field { number: 14, content: Content::Number(1) });
    }
    let mut bytes = Vec::new();
    write(&model, &mut bytes);
    Some(bytes)
}

/// The fields of a message within another.
fn inner(field: &mut Field) -> Option<&mut Vec<Field>> {
    if let Content::Message(fields) = &mut field.content { Some(fields) } else { None }
}

fn change_nth(message: &mut Vec<Field>, which: &mut usize, other: &[Field], random: &mut Random) -> bool {
    for index in 0..message.len() {
        if *which == 0 {
            change(message, index, other, random);
            return true;
        }
        *which -= 1;
        if let Content::Message(inner) = &mut message[index].content
            && change_nth(inner, which, other, random)
        {
            return true;
        }
    }
    false
}

fn change(message: &mut Vec<Field>, index: usize, other: &[Field], random: &mut Random) {
    match random.below(10) {
        0 => drop(message.remove(index)),
        1 => {
            let times = *random.pick(&[1, 1, 2, 300]);
            let copied = message[index].clone();
            message.splice(index..index, std::iter::repeat_n(copied, times));
        }
        2 => {
            let to = random.below(message.len());
            message.swap(index, to);
        }
        3 => message[index].number = 1 + random.below(20) as u64,
        // What a field of that number holds elsewhere in the file, or in another.
        4 | 5 => {
            let number = message[index].number;
            let mut found = Vec::new();
            gather(if random.below(2) == 0 { other } else { message }, number, &mut found);
            if let Some(found) = found.get(random.below(found.len())) {
                message[index].content = found.clone();
            }
        }
        _ => match &mut message[index].content {
            Content::Number(number) => *number = random.number(),
            Content::Eight(bytes) => *bytes = random.number().to_le_bytes(),
            Content::Four(bytes) => {
                *bytes = random.pick(&[0.0, -1.0, 0.5, 1e9, f32::NAN, f32::INFINITY, f32::MAX, 1e-40]).to_le_bytes();
            }
            Content::Bytes(bytes) => *bytes = changed_bytes(std::mem::take(bytes), b"Conv", random),
            Content::Message(fields) => fields.truncate(random.below(fields.len() + 1)),
        },
    }
}

fn gather(message: &[Field], number: u64, found: &mut Vec<Content>) {
    for field in message {
        if field.number == number {
            found.push(field.content.clone());
        }
        if let Content::Message(inner) = &field.content {
            gather(inner, number, found);
        }
    }
}

fn fields(message: &[Field]) -> usize {
    message.iter().map(|field| 1 + if let Content::Message(inner) = &field.content { fields(inner) } else { 0 }).sum()
}

/// `None` where `bytes` are no message.
fn parse(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut message = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let content = match key & 7 {
            0 => Content::Number(varint(&mut bytes)?),
            1 => Content::Eight(*bytes.split_off(..8)?.first_chunk()?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let inner = bytes.split_off(..length)?;
                let message = if inner.is_empty() || depth == 0 { None } else { parse(inner, depth - 1) };
                message.map_or_else(|| Content::Bytes(inner.to_vec()), Content::Message)
            }
            5 => Content::Four(*bytes.split_off(..4)?.first_chunk()?),
            _ => return None,
        };
        message.push(Field { number: key >> 3, content });
    }
    Some(message)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn write(message: &[Field], bytes: &mut Vec<u8>) {
    for Field { number, content } in message {
        let mut key = |kind| write_varint(number << 3 | kind, bytes);
        match content {
            Content::Number(number) => {
                key(0);
                write_varint(*number, bytes);
            }
            Content::Eight(eight) => {
                key(1);
                bytes.extend(eight);
            }
            Content::Four(four) => {
                key(5);
                bytes.extend(four);
            }
            Content::Bytes(_) | Content::Message(_) => {
                key(2);
                let mut inner = Vec::new();
                match content {
                    Content::Message(message) => write(message, &mut inner),
                    Content::Bytes(content) => inner.extend(content),
                    _ => {}
                }
                write_varint(inner.len() as u64, bytes);
                bytes.extend(inner);
            }
        }
    }
}

fn write_varint(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

// PNG

fn chunks(bytes: &[u8], other: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let (mut chunks, other) = (split(bytes)?, split(other)?);
    if chunks.is_empty() || other.is_empty() {
        return None;
    }
    let at = random.below(chunks.len());
    match random.below(8) {
        0 => drop(chunks.remove(at)),
        1 => {
            let times = *random.pick(&[1, 300]);
            let copied = chunks[at].clone();
            chunks.splice(at..at, std::iter::repeat_n(copied, times));
        }
        2 => chunks.insert(at, random.pick(&other).clone()),
        // The name and the content.
        _ => {
            let name: Vec<u8> = chunks[at][..4].to_vec();
            let content = changed_bytes(chunks[at][4..].to_vec(), &other[0], random);
            chunks[at] = [name, content].concat();
        }
    }
    let mut bytes = bytes[..8].to_vec();
    for chunk in chunks {
        bytes.extend((chunk.len() as u32 - 4).to_be_bytes());
        bytes.extend(&chunk);
        bytes.extend(checksum(&chunk).to_be_bytes());
    }
    Some(bytes)
}

/// The chunks of a PNG file, each its name and its content.
fn split(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut rest, mut chunks) = (bytes.get(8..)?, Vec::new());
    while !rest.is_empty() {
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        chunks.push(rest.get(4..8 + length)?.to_vec());
        rest = rest.get(12 + length..)?;
    }
    Some(chunks)
}

/// The checksum of a chunk of a PNG file (CRC-32).
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum: u32, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}
