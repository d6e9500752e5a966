//! The text of a shader: files of WGSL behind a preamble of constants.
//!
//! A file of `shaders/` reads names that it does not declare: the size of its tile, the type of its elements. The preamble
//! declares them, and so one file becomes many kernels. A [`Shader`] is the list of files and constants, not yet joined:
//! cheap to compare, and its own key in the cache of pipelines. `params!` writes a uniform block once for both sides.

use std::fmt::Write as _;

/// One named piece of WGSL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// The file below `shaders/`.
    pub file: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A part from its file below `shaders/`.
macro_rules! part {
    ($file:literal) => {
        $crate::plan::Part { file: $file, text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file)) }
    };
}
pub(crate) use part;

pub(crate) const INDEX: Part = part!("lib/index.wgsl");
pub(crate) const IMAGE: Part = part!("lib/image.wgsl");
pub(crate) const LARGEST: Part = part!("lib/largest.wgsl");
pub(crate) const ACTIVATION: Part = part!("lib/activation.wgsl");
pub(crate) const MATH: Part = part!("lib/math.wgsl");
/// Behind the parts of a shader whose function stands here, and of no other: see [`Shader::wgsl`].
const SINE: Part = part!("lib/sine.wgsl");
pub(crate) const SLOPE: Part = part!("lib/slope.wgsl");

/// The value of a name that a shader's preamble declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Constant {
    /// `const NAME: u32`.
    U32(u32),
    /// `const NAME: bool`.
    Bool(bool),
    /// `alias Name`: a type, or a vector of it where lanes exceed 1.
    Type(&'static str, u32),
    /// `fn NAME`: an element-wise function of this name under another, beside what `activate` means.
    Function(&'static str),
}

/// WGSL as an ordered list of parts and of the constants they are specialised by: its own cache key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shader {
    /// `struct Params`, written once for both sides by `params!`.
    pub params: &'static str,
    /// What `activate` means, for shaders that call it.
    pub activation: Option<&'static str>,
    /// Names the preamble declares; their types tell which extensions it enables.
    pub constants: Vec<(&'static str, Constant)>,
    /// The text.
    pub parts: Vec<Part>,
}

/// How the names of types begin that WGSL has by an extension, and its name.
const EXTENSIONS: [(&str, &str); 2] = [("f16", "f16"), ("coop_mat", "wgpu_cooperative_matrix")];

impl Shader {
    /// The complete WGSL text.
    ///
    /// Parts are joined as they are, but for [unrolled] loops: WGSL lets declarations stand in any order, only `enable`
    /// comes first. The functions of angles are long, and stand behind them where the shader's own function is among them.
    ///
    /// [unrolled]: crate#unrolled-loops
    pub fn wgsl(&self) -> String {
        let mut text = String::new();
        for (types, extension) in EXTENSIONS {
            let of_these = |value: &Constant| matches!(value, Constant::Type(name, _) if name.starts_with(types));
            if self.constants.iter().any(|(_, value)| of_these(value)) {
                let _ = writeln!(text, "enable {extension};");
            }
        }
        for (name, value) in &self.constants {
            let declaration = match value {
                Constant::U32(value) => format!("const {name}: u32 = {value}u;"),
                Constant::Bool(value) => format!("const {name}: bool = {value};"),
                Constant::Type(scalar, 1) => format!("alias {name} = {scalar};"),
                Constant::Type(scalar, lanes) => format!("alias {name} = vec{lanes}<{scalar}>;"),
                Constant::Function(function) => format!("fn {name}(x: Acc) -> Acc {{ return {function}(x); }}"),
            };
            let _ = writeln!(text, "{declaration}");
        }
        text.push_str(self.params);
        if let Some(function) = self.activation {
            let _ = writeln!(text, "fn activate(x: Acc) -> Acc {{ return {function}(x); }}");
        }
        let functions = self.constants.iter().filter_map(|(_, value)| match value {
            Constant::Function(function) => Some(*function),
            _ => None,
        });
        let turns = self.activation.into_iter().chain(functions).any(|name| SINE.text.contains(&format!("fn {name}(")));
        for part in self.parts.iter().chain(turns.then_some(&SINE)) {
            let _ = writeln!(text, "// {}", part.file);
            unroll(&part.text.lines().collect::<Vec<_>>(), &self.constants, &mut text);
        }
        text
    }
}

/// Appends `lines`, spelling out each loop after a line `// unroll`.
///
/// Such a loop reads `for (var i = 0u; i < NAME; i++) {`, where `NAME` is a constant of the preamble, and ends with a
/// brace as far in as it began. Its body is repeated with `const i`, so that what `i` indexes stays in registers whatever
/// the driver's own limits on unrolling. What does not read so is left as it is: a loop is right either way.
fn unroll(lines: &[&str], constants: &[(&'static str, Constant)], text: &mut String) {
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        let counted = (line.trim() == "// unroll").then(|| counted_loop(&lines[at..], constants)).flatten();
        let Some((variable, count, length)) = counted else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        for i in 0..count {
            let _ = writeln!(text, "{{ const {variable}: u32 = {i}u;");
            unroll(&lines[at + 1..at + length - 1], constants, text);
            text.push_str("}\n");
        }
        at += length;
    }
}

/// The variable, the count and the number of lines of the loop that `lines` begin with.
fn counted_loop<'a>(lines: &[&'a str], constants: &[(&'static str, Constant)]) -> Option<(&'a str, u32, usize)> {
    let head = lines.first()?;
    let (variable, rest) = head.trim().strip_prefix("for (var ")?.split_once(" = 0u; ")?;
    let limit = rest.strip_prefix(variable)?.strip_prefix(" < ")?.strip_suffix(&format!("; {variable}++) {{"))?;
    let count = constants.iter().find_map(|(name, value)| match value {
        Constant::U32(value) if *name == limit => Some(*value),
        _ => None,
    })?;
    let indent = &head[..head.len() - head.trim_start().len()];
    let end = lines.iter().position(|line| line.strip_prefix(indent) == Some("}"))?;
    Some((variable, count, end + 1))
}

/// Declares a uniform block once: the struct that is uploaded and the WGSL that reads it. All fields are `u32`, so the
/// two agree in layout by construction.
macro_rules! params {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident),* $(,)? }) => {
        $(#[$meta])* #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $name { $($(#[$doc])* pub $field: u32),* }
        impl $name {
            /// The same block in WGSL, from the same field list.
            pub(crate) const WGSL: &'static str =
                concat!("struct Params {\n", $("    ", stringify!($field), ": u32,\n",)* "}\n");

            pub(crate) fn words(&self) -> Vec<u32> {
                bytemuck::cast_slice(std::slice::from_ref(self)).to_vec()
            }
        }
    };
}
pub(crate) use params;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_loops_are_spelled_out() {
        let file = "\
fn f() {
    // unroll
    for (var i = 0u; i < TWO; i++) {
        // unroll
        for (var j = 0u; j < ONE; j++) {
            a[i + j] = 0.0;
        }
    }
    // unroll
    for (var k = 0u; k < OTHER; k++) {
    }
}";
        let mut text = String::new();
        let constants = [("ONE", Constant::U32(1)), ("TWO", Constant::U32(2))];
        unroll(&file.lines().collect::<Vec<_>>(), &constants, &mut text);
        let words: Vec<_> = text.split_whitespace().collect();
        let body = |i: u32| format!("{{ const i: u32 = {i}u; {{ const j: u32 = 0u; a[i + j] = 0.0; }} }}");
        let rest = "// unroll for (var k = 0u; k < OTHER; k++) { } }";
        assert_eq!(words.join(" "), format!("fn f() {{ {} {} {rest}", body(0), body(1)));
    }
}
