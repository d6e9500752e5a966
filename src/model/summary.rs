//! Models as text tables, in the manner of Keras's `summary()`.
//!
//! A table shows at a glance what a model is: a row for each layer with its class, the shape of its output and the
//! number of its weights, then the totals. A graph that is no chain has a column more, which says what each layer
//! reads.
//!
//! ```text
//! ┃ Layer (type)                  ┃ Output Shape             ┃     Param # ┃
//! │ conv2d (Conv2D)               │ (None, 26, 26, 16)       │         160 │
//! ```

use std::fmt::Write;

use super::{Model, Port};
use crate::layers::LayerConfig;
use crate::text::printable_name;

/// Widths of the columns, so that a line with its rules stays within 80: name and type, output shape, parameters, and the
/// connections where they are shown.
const CHAIN: [usize; 3] = [31, 26, 13];
const GRAPH: [usize; 4] = [24, 18, 9, 16];

pub(super) fn of_model(model: &Model) -> String {
    let mut rows = Vec::new();
    let graph = !is_chain(model);
    let name_of = |port: &Port| match *port {
        Port::Input(index) => model.inputs[index].name.clone(),
        Port::Output(node, _) => model.blocks[model.nodes[node].block].name().to_owned(),
    };
    if graph {
        for input in &model.inputs {
            let cells = [typed(&input.name, "InputLayer"), input.shape.to_string(), "0".into(), "-".into()];
            rows.push(cells.to_vec());
        }
    }
    for (index, block) in model.blocks.iter().enumerate() {
        let applied = || model.nodes.iter().filter(move |node| node.block == index);
        let shapes = applied().next().map(|node| node.shapes.iter().map(ToString::to_string).collect::<Vec<_>>());
        let shapes = shapes.map_or("?".into(), |shapes| shapes.join(", "));
        let mut cells = vec![typed(block.name(), block.class_name()), shapes, grouped(block.count_params())];
        if graph {
            cells.push(applied().flat_map(|node| &node.inputs).map(name_of).collect::<Vec<_>>().join(", "));
        }
        rows.push(cells);
    }
    let mut text = table(&model.name, if graph { &GRAPH } else { &CHAIN }, &rows);
    for (label, kind) in [("Total", None), ("Trainable", Some(true)), ("Non-trainable", Some(false))] {
        let (count, bytes) = totals(model, kind);
        let _ = writeln!(text, " {label} params: {} ({})", grouped(count), memory(bytes));
    }
    if !model.on_host().is_empty() {
        let nodes: Vec<_> = model.on_host().iter().map(|(name, operator)| typed(name, operator)).collect();
        let _ = writeln!(text, " Computed on the host, of what these layers make:");
        wrapped(&nodes.join(", "), 77).iter().for_each(|line| text += &format!("   {line}\n"));
    }
    text
}

/// The table of a model that knows its layers, but not yet its input.
pub(super) fn of_unbuilt<'a>(name: &str, configs: impl Iterator<Item = &'a LayerConfig>) -> String {
    let row = |config: &LayerConfig| {
        let name = config.common().name.as_deref().unwrap_or("?");
        vec![typed(name, config.class_name()), "?".into(), "0 (unbuilt)".into()]
    };
    table(name, &CHAIN, &configs.map(row).collect::<Vec<_>>())
}

/// Whether every layer reads just what the one before it made.
fn is_chain(model: &Model) -> bool {
    let in_turn = |(index, node): (usize, &super::Node)| {
        let before = index.checked_sub(1).map_or(Port::Input(0), |node| Port::Output(node, 0));
        node.block == index && node.inputs == [before]
    };
    model.inputs.len() == 1 && model.outputs.len() == 1 && model.nodes.iter().enumerate().all(in_turn)
}

/// The number and the bytes of the weights; of those that training changes or leaves alone, if `trainable` says so.
fn totals(model: &Model, trainable: Option<bool>) -> (u64, u64) {
    let mut totals = (0, 0);
    for (_, layer) in model.layers() {
        let size = layer.config().common().dtype.variables().map_or(4, |(dtype, _)| dtype.size() as u64);
        for weight in layer.weights() {
            if trainable.is_none_or(|wanted| wanted == weight.trainable()) {
                let count = weight.shape().elements().unwrap_or(0);
                totals = (totals.0 + count, totals.1 + count * size);
            }
        }
    }
    totals
}

fn typed(name: &str, class: &str) -> String {
    format!("{name} ({class})")
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as Keras prints them: `352.00 B`, `36.98 KB`.
fn memory(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if value < 1024.0 {
            return format!("{value:.2} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.2} TB")
}

fn table(name: &str, widths: &[usize], rows: &[Vec<String>]) -> String {
    let head = ["Layer (type)", "Output Shape", "Param #", "Connected to"].map(str::to_owned);
    let mut text = format!("Model: \"{}\"\n", printable_name(name));
    rule(&mut text, widths, ['┏', '━', '┳', '┓']);
    write_row(&mut text, widths, &head[..widths.len()], '┃');
    rule(&mut text, widths, ['┡', '━', '╇', '┩']);
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            rule(&mut text, widths, ['├', '─', '┼', '┤']);
        }
        write_row(&mut text, widths, row, '│');
    }
    rule(&mut text, widths, ['└', '─', '┴', '┘']);
    text
}

fn rule(text: &mut String, widths: &[usize], [left, line, cross, right]: [char; 4]) {
    let parts: Vec<String> = widths.iter().map(|width| String::from(line).repeat(width + 2)).collect();
    let _ = writeln!(text, "{left}{}{right}", parts.join(&cross.to_string()));
}

/// A row, as many lines high as its highest cell; the parameters stand at the right of theirs.
fn write_row(text: &mut String, widths: &[usize], cells: &[String], border: char) {
    let cells: Vec<Vec<String>> = cells.iter().zip(widths).map(|(cell, &width)| wrapped(cell, width)).collect();
    for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
        for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
            let part = cell.get(line).map_or("", String::as_str);
            let _ = match column {
                2 => write!(text, "{border} {part:>width$} "),
                _ => write!(text, "{border} {part:<width$} "),
            };
        }
        let _ = writeln!(text, "{border}");
    }
}

/// `cell` in lines of at most `width` characters, broken at spaces where possible.
fn wrapped(cell: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in printable_name(cell).split(' ') {
        let letters: Vec<char> = word.chars().collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + letters.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(letters.chunks(width).map(String::from_iter)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_keras_prints_them() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(9466), "9,466");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(memory(352), "352.00 B");
        assert_eq!(memory(9466 * 4), "36.98 KB");
    }

    #[test]
    fn cells_wrap_at_spaces_and_within_words_too_long() {
        assert_eq!(wrapped("conv (Conv2D)", 20), ["conv (Conv2D)"]);
        assert_eq!(wrapped("stem_bn (BatchNormalization)", 20), ["stem_bn", "(BatchNormalization)"]);
        assert_eq!(wrapped("abcdefg hi", 3), ["abc", "def", "g", "hi"]);
        assert!(wrapped("", 3).is_empty());
        assert_eq!(wrapped("a\u{1b}[2J\nb", 30), ["a\\u{1b}[2J\\u{a}b"]);
    }

    #[test]
    fn every_line_fits_80_columns() {
        for widths in [&CHAIN[..], &GRAPH[..]] {
            let cells =
                vec!["a_very_long_name_of_a_layer_that_nobody_would_type (SeparableConv2D)".to_owned(); widths.len()];
            let text = table("model", widths, &[cells]);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }
}
