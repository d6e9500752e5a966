//! Einstein's summation of one or two tensors: products over axes that are named by letters.

use std::sync::Arc;

use super::{Kernel, Side, Tape, Value, dense, expand, matmul, permute, reduce};
use crate::plan::AxisFunction;
use crate::{Activation, Error, Result};

/// An equation such as `bhwc,cd->bhwd`: the letters of each input's axes, and those of the output's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Equation {
    pub(crate) inputs: Vec<Vec<char>>,
    pub(crate) output: Vec<char>,
}

impl Equation {
    /// The equation of `text` for inputs of these ranks: an ellipsis stands for what the letters leave, broadcast from the
    /// right; without an output it has the letters that stand once, sorted.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the text is none, or not for such inputs.
    pub(crate) fn new(text: &str, ranks: &[usize]) -> Result<Self> {
        let wrong = |rule: &'static str| Error::invalid("equation", rule, format!("equation={text}, ranks {ranks:?}"));
        let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match plain.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (plain.as_str(), None),
        };
        let terms: Vec<&str> = left.split(',').collect();
        if terms.len() != ranks.len() {
            return Err(wrong("an equation must have a term for each input"));
        }
        // Axes that an ellipsis stands for, named by digits from the right.
        let digit = |place: usize| {
            char::from_digit(place as u32, 36).ok_or_else(|| wrong("an ellipsis stands for too many axes"))
        };
        let mut most = 0;
        let mut inputs = Vec::new();
        for (term, &rank) in terms.iter().zip(ranks) {
            let letters: Vec<char> = term.replace("...", "").chars().collect();
            if !letters.iter().all(char::is_ascii_alphabetic) {
                return Err(wrong("axes must be named by letters"));
            }
            let Some(at) = term.find("...") else {
                if letters.len() != rank {
                    return Err(wrong("a term must have a letter for each axis of its input"));
                }
                inputs.push(letters);
                continue;
            };
            let rest =
                rank.checked_sub(letters.len()).ok_or_else(|| wrong("a term must not have more letters than axes"))?;
            most = most.max(rest);
            let mut named = letters;
            let digits = (0..rest).rev().map(digit).collect::<Result<Vec<_>>>()?;
            named.splice(at..at, digits);
            inputs.push(named);
        }
        let digits = (0..most).rev().map(digit).collect::<Result<Vec<_>>>()?;
        let output: Vec<char> = match right {
            Some(right) => {
                let mut letters: Vec<char> = right.replace("...", "").chars().collect();
                if let Some(at) = right.find("...") {
                    letters.splice(at..at, digits);
                }
                letters
            }
            None => {
                let all: Vec<char> = inputs.iter().flatten().copied().filter(char::is_ascii_alphabetic).collect();
                let mut once: Vec<char> =
                    all.iter().copied().filter(|c| all.iter().filter(|d| *d == c).count() == 1).collect();
                once.sort_unstable();
                [digits, once].concat()
            }
        };
        let twice = |letters: &[char]| letters.iter().enumerate().any(|(i, c)| letters[..i].contains(c));
        if twice(&output) || output.iter().any(|c| !inputs.iter().any(|input| input.contains(c))) {
            return Err(wrong("the output must name axes of the inputs, each once"));
        }
        if inputs.iter().any(|input| twice(input)) {
            return Err(Error::unsupported(
                format!("the diagonal in the equation {text}"),
                "name the axes of an input by different letters",
            ));
        }
        Ok(Self { inputs, output })
    }

    /// The extents of the output, from those of the inputs; an extent of 1 under an ellipsis repeats.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a letter stands for different extents.
    pub(crate) fn output_dims(&self, inputs: &[&[Option<usize>]]) -> Result<Vec<Option<usize>>> {
        let extent = |letter: char| {
            let mut found: Option<usize> = None;
            let mut unknown = false;
            for (letters, dims) in self.inputs.iter().zip(inputs) {
                let Some(place) = letters.iter().position(|c| *c == letter) else { continue };
                found = match (found, dims[place]) {
                    (_, None) => {
                        unknown = true;
                        found
                    }
                    (None, dim) => dim,
                    (Some(1), Some(dim)) | (Some(dim), Some(1)) if !letter.is_ascii_alphabetic() => Some(dim),
                    (Some(one), Some(other)) if one == other => Some(one),
                    (Some(one), Some(other)) => {
                        let received = format!("axis {letter} of extents {one} and {other}");
                        return Err(Error::invalid("inputs", "a letter must stand for one extent", received));
                    }
                };
            }
            Ok(if unknown && found == Some(1) { None } else { found })
        };
        // Every letter is looked at, those that are summed too.
        for letter in self.inputs.iter().flatten() {
            extent(*letter)?;
        }
        self.output.iter().map(|&letter| extent(letter)).collect()
    }
}

/// The sum of products that `equation` describes, of one tensor, or of two by one product of matrices.
pub(crate) fn einsum(tape: &mut Tape, equation: &Equation, sides: &[Side<'_>]) -> Result<Value> {
    match (sides, &equation.inputs[..]) {
        ([Side::Value(input)], [letters]) => {
            let (summed, left) = summed(tape, *input, letters, |c| equation.output.contains(&c))?;
            ordered(tape, summed, &left, &equation.output)
        }
        ([left, right], [of_left, of_right]) => product(tape, equation, (*left, of_left), (*right, of_right)),
        _ => Err(Error::unsupported(format!("einsum of {} tensors", sides.len()), "multiply two tensors at a time")),
    }
}

/// `input` summed over the axes that are not `kept`, and the letters left.
fn summed(tape: &mut Tape, input: Value, letters: &[char], kept: impl Fn(char) -> bool) -> Result<(Value, Vec<char>)> {
    let gone: Vec<usize> = (0..letters.len()).filter(|&axis| !kept(letters[axis])).collect();
    let left = letters.iter().copied().filter(|&c| kept(c)).collect();
    let value = if gone.is_empty() { input } else { reduce(tape, AxisFunction::Sum, &gone, false, input)? };
    Ok((value, left))
}

fn summed_side<'a>(
    tape: &mut Tape,
    side: Side<'a>,
    letters: &[char],
    kept: impl Fn(char) -> bool,
) -> Result<(Side<'a>, Vec<char>)> {
    match side {
        Side::Value(value) => summed(tape, value, letters, kept).map(|(value, left)| (Side::Value(value), left)),
        Side::Constant(_) if letters.iter().all(|&c| kept(c)) => Ok((side, letters.to_vec())),
        Side::Constant(_) => Err(Error::unsupported(
            "an axis of a constant alone, summed by an equation",
            "sum the constant along it first",
        )),
    }
}

fn ordered(tape: &mut Tape, input: Value, letters: &[char], order: &[char]) -> Result<Value> {
    let order: Vec<usize> = order.iter().filter_map(|c| letters.iter().position(|l| l == c)).collect();
    permute(tape, &order, input)
}

/// Both sides as batches of matrices, multiplied, and the axes put in the output's order.
fn product(
    tape: &mut Tape,
    equation: &Equation,
    (left, of_left): (Side<'_>, &[char]),
    (right, of_right): (Side<'_>, &[char]),
) -> Result<Value> {
    let output = &equation.output;
    let wanted = |other: &[char]| {
        let other = other.to_vec();
        move |c: char| output.contains(&c) || other.contains(&c)
    };
    let (left, of_left) = summed_side(tape, left, of_left, wanted(of_right))?;
    let (right, of_right) = summed_side(tape, right, of_right, wanted(&of_left))?;
    let (of_left, of_right) = (&of_left[..], &of_right[..]);
    let batch: Vec<char> = output.iter().copied().filter(|c| of_left.contains(c) && of_right.contains(c)).collect();
    let terms: Vec<char> = of_left.iter().copied().filter(|c| of_right.contains(c) && !output.contains(c)).collect();
    let rows: Vec<char> = output.iter().copied().filter(|c| of_left.contains(c) && !of_right.contains(c)).collect();
    let columns: Vec<char> = output.iter().copied().filter(|c| of_right.contains(c) && !of_left.contains(c)).collect();
    let dims = [left.shape(tape).dims().to_vec(), right.shape(tape).dims().to_vec()];
    let extent = |c: char| {
        let of = |letters: &[char], dims: &[usize]| letters.iter().position(|l| *l == c).map(|place| dims[place]);
        let (left, right) = (of(of_left, &dims[0]), of(of_right, &dims[1]));
        // Of an axis that repeats, the larger.
        if left == Some(1) { right.or(left) } else { left.or(right) }.unwrap_or(1)
    };
    let extents = |letters: &[char]| letters.iter().map(|&c| extent(c)).collect::<Vec<usize>>();
    let size = |letters: &[char]| extents(letters).iter().product::<usize>();
    let sizes = |groups: &[&[char]]| groups.iter().map(|letters| size(letters)).collect::<Vec<usize>>();
    // A side as its batch of matrices. Axes of a value that repeat are repeated first: the batch is one axis below.
    let matrices = |tape: &mut Tape, side: Side<'_>, letters: &[char], groups: &[&[char]]| -> Result<Matrices> {
        let order = groups.concat();
        let places: Vec<usize> = order.iter().filter_map(|c| letters.iter().position(|l| l == c)).collect();
        Ok(match side {
            Side::Value(value) => {
                let moved = permute(tape, &places, value)?;
                let full = expand(tape, &extents(&order), moved)?;
                Matrices::Value(tape.reshape(full, sizes(groups))?)
            }
            Side::Constant(kernel) => Matrices::Constant(kernel.permuted(&places)?.reshaped(sizes(groups))),
        })
    };
    let result = match right {
        // Rows of a value by one matrix: a dense layer.
        Side::Constant(_) if batch.is_empty() => {
            let rows = matrices(tape, left, of_left, &[&rows, &terms])?;
            let kernel = matrices(tape, right, of_right, &[&terms, &columns])?;
            match (rows, kernel) {
                (Matrices::Value(rows), Matrices::Constant(kernel)) => {
                    dense(tape, size(&columns), Activation::Linear, rows, &kernel, None)?
                }
                (rows, kernel) => matmul(tape, rows.side(), kernel.side())?,
            }
        }
        _ => {
            let rows = matrices(tape, left, of_left, &[&batch, &rows, &terms])?;
            let columns = matrices(tape, right, of_right, &[&batch, &terms, &columns])?;
            matmul(tape, rows.side(), columns.side())?
        }
    };
    let letters = [&batch[..], &rows, &columns].concat();
    let result = tape.reshape(result, extents(&letters))?;
    ordered(tape, result, &letters, output)
}

/// A side as matrices.
enum Matrices {
    Value(Value),
    Constant(Arc<Kernel>),
}

impl Matrices {
    fn side(&self) -> Side<'_> {
        match self {
            Self::Value(value) => Side::Value(*value),
            Self::Constant(kernel) => Side::Constant(kernel),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_name_axes() {
        let dims = |text: &str, inputs: &[&[usize]]| {
            let ranks: Vec<usize> = inputs.iter().map(|dims| dims.len()).collect();
            let inputs: Vec<Vec<Option<usize>>> =
                inputs.iter().map(|dims| dims.iter().copied().map(Some).collect()).collect();
            let inputs: Vec<&[Option<usize>]> = inputs.iter().map(Vec::as_slice).collect();
            Equation::new(text, &ranks)
                .and_then(|equation| equation.output_dims(&inputs))
                .map(|dims| dims.into_iter().flatten().collect::<Vec<_>>())
        };
        assert_eq!(dims("ab,bc->ac", &[&[2, 3], &[3, 5]]).unwrap(), [2, 5]);
        assert_eq!(dims("ab,bc", &[&[2, 3], &[3, 5]]).unwrap(), [2, 5]);
        assert_eq!(dims("...ab, ...bc -> ...ac", &[&[7, 2, 3], &[1, 3, 5]]).unwrap(), [7, 2, 5]);
        assert_eq!(dims("...x,xy->...y", &[&[7, 2, 3], &[3, 5]]).unwrap(), [7, 2, 5]);
        assert_eq!(dims("abc->cb", &[&[7, 2, 3]]).unwrap(), [3, 2]);
        for (text, inputs) in [
            ("ab,bc->ad", &[&[2, 3][..], &[3, 5]][..]),
            ("ab,bc->ac", &[&[2, 3], &[4, 5]]),
            ("ab->ab", &[&[2, 3], &[4, 5]]),
            ("aa->a", &[&[2, 2]]),
            ("abc->a", &[&[2, 2]]),
            ("a1->a", &[&[2, 2]]),
        ] {
            assert!(dims(text, inputs).is_err(), "{text}");
        }
    }
}
