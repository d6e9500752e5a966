//! PNG files.
//!
//! The `png` crate writes them, as small as they get. In a browser a picture stays in memory, and that crate's compressor is a fiftieth
//! of the whole package; so there the few chunks of a file are written here (PNG specification, third edition, sections 5 and
//! 11) around what the `fdeflate` crate compresses.

use crate::file::PICTURE;
use crate::{Error, Result};

/// What a picture's bytes are, row by row.
#[derive(Clone, Copy)]
pub(super) enum Dots {
    /// Places in the palette, two in a byte, each row begun in a byte of its own.
    Halves,
    /// Places in the palette.
    Bytes,
    /// Red, green and blue.
    Colors,
}

/// The file of a picture of so many pixels; the `palette` has three bytes for each colour, and none where pixels are colours.
pub(super) fn encode(width: usize, height: usize, dots: Dots, palette: &[u8], bytes: &[u8]) -> Result<Vec<u8>> {
    let side = |extent: usize| {
        u32::try_from(extent).map_err(|_| Error::limit("pixels of a picture's side", extent as u64, u32::MAX.into()))
    };
    encoded([side(width)?, side(height)?], dots, palette, bytes)
        .map_err(|why| Error::unsupported(format!("a picture of {width}×{height} pixels"), why))
}

#[cfg(not(target_arch = "wasm32"))]
fn encoded([width, height]: [u32; 2], dots: Dots, palette: &[u8], bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    let (color, depth) = match dots {
        Dots::Halves => (png::ColorType::Indexed, png::BitDepth::Four),
        Dots::Bytes => (png::ColorType::Indexed, png::BitDepth::Eight),
        Dots::Colors => (png::ColorType::Rgb, png::BitDepth::Eight),
    };
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    if !palette.is_empty() {
        encoder.set_palette(palette);
    }
    let [keyword, text] = PICTURE.map(str::to_owned);
    let marked = encoder.add_text_chunk(keyword, text);
    let written = marked.and_then(|()| encoder.write_header()).and_then(|mut writer| {
        writer.write_image_data(bytes)?;
        writer.finish()
    });
    written.map_err(|error| error.to_string())?;
    Ok(file)
}

#[cfg(target_arch = "wasm32")]
use in_chunks as encoded;

/// The same file by chunks.
#[cfg(any(target_arch = "wasm32", test))]
fn in_chunks([width, height]: [u32; 2], dots: Dots, palette: &[u8], bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (depth, color, row) = match dots {
        Dots::Halves => (4, 3, width.div_ceil(2) as usize),
        Dots::Bytes => (8, 3, width as usize),
        Dots::Colors => (8, 2, 3 * width as usize),
    };
    if width == 0 || height == 0 || bytes.len() != row * height as usize {
        return Err(format!("{} bytes where there are {height} rows of {row}", bytes.len()));
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        let length = u32::try_from(data.len()).map_err(|_| format!("{} bytes in one chunk", data.len()))?;
        let named = [kind, data].concat();
        file.extend(length.to_be_bytes());
        file.extend(&named);
        file.extend(crc32fast::hash(&named).to_be_bytes());
        Ok::<_, String>(())
    };
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, color, 0, 0, 0]].concat())?;
    if !palette.is_empty() {
        chunk(b"PLTE", palette)?;
    }
    chunk(b"tEXt", PICTURE.join("\0").as_bytes())?;
    // Each row after a 0: no filter.
    let rows: Vec<u8> = bytes.chunks(row).flat_map(|row| [&[0], row].concat()).collect();
    chunk(b"IDAT", &fdeflate::compress_to_vec(&rows))?;
    chunk(b"IEND", &[])?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_what_the_crate_reads() {
        let palette: Vec<u8> = (0..48).collect();
        for (dots, palette, bytes) in [
            (Dots::Halves, &palette[..], vec![0x01, 0x20, 0xFE, 0x30]),
            (Dots::Bytes, &palette, vec![1, 2, 3, 15, 0, 7]),
            (Dots::Colors, &[], (0..18).map(|byte| byte * 13).collect()),
        ] {
            let read = |file: Vec<u8>| {
                let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
                decoder.set_transformations(png::Transformations::IDENTITY);
                let mut reader = decoder.read_info().unwrap();
                let info = reader.info();
                let text = info.uncompressed_latin1_text[0].text.clone();
                let head = (info.size(), info.color_type, info.bit_depth, info.palette.clone(), text);
                let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
                reader.next_frame(&mut bytes).unwrap();
                (head, bytes)
            };
            let [own, of_crate] = [in_chunks, encoded].map(|write| read(write([3, 2], dots, palette, &bytes).unwrap()));
            assert_eq!(own, of_crate);
            assert_eq!(own.1, bytes);
            assert!(in_chunks([3, 3], dots, palette, &bytes).is_err());
        }
    }
}
