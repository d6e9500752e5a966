//! What holds for the package as a whole: its files, its dependencies, and what its documents claim of both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const README: &str = include_str!("../README.md");
const FEATURES: &str = include_str!("../docs/features.md");
const LAYERS: &str = include_str!("../docs/layers.md");

fn text(relative: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(relative)).unwrap_or_else(|why| panic!("{relative}: {why}"))
}

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features", "--locked"])
        .args(arguments)
        .current_dir(ROOT)
        .output()
        .expect("cargo must start");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// This package in what cargo tells.
fn ours(metadata: &Value) -> &Value {
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().find(|package| package["name"] == "wgpu-conv").expect("this package")
}

/// `1.89` as (1, 89, 0).
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split(['.', '-', '+']).map_while(|part| part.parse().ok());
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// The cells of a document's table rows, those below its title or a heading of `##`.
fn rows(document: &'static str, heading: &str) -> Vec<Vec<&'static str>> {
    let mut sections = document.split("\n## ");
    let section =
        sections.find(|section| section.lines().next().map(|line| line.trim_start_matches("# ")) == Some(heading));
    let section = section.unwrap_or_else(|| panic!("no heading {heading}"));
    let row = |line: &'static str| {
        line.strip_prefix("| ")?.strip_suffix('|').map(|line| line.split('|').map(str::trim).collect())
    };
    section.lines().filter_map(row).collect()
}

/// The words in backquotes.
fn code(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn dependencies_build_with_the_stated_rust() {
    let metadata = metadata(&[]);
    let stated = ours(&metadata)["rust_version"].as_str().expect("rust-version");
    let packages = metadata["packages"].as_array().expect("packages");
    let newer: Vec<_> = packages
        .iter()
        .filter(|package| package["rust_version"].as_str().is_some_and(|needed| version(needed) > version(stated)))
        .map(|package| format!("{} {} needs Rust {}", package["name"], package["version"], package["rust_version"]))
        .collect();
    assert!(newer.is_empty(), "above {stated}: {newer:#?}");
    assert!(packages.len() > 50, "only {} packages", packages.len());
}

/// Nothing to be found on the system but a linker.
#[test]
fn dependencies_bind_no_c_libraries() {
    let metadata = metadata(&[]);
    let builders = ["bindgen", "cc", "cmake", "pkg-config", "prost-build", "vcpkg"];
    let packages = metadata["packages"].as_array().expect("packages");
    let found: Vec<_> =
        packages.iter().filter_map(|package| package["name"].as_str()).filter(|name| builders.contains(name)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_readme_states_the_versions() {
    let metadata = metadata(&["--no-deps"]);
    let package = ours(&metadata);
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    let wgpu = dependencies.iter().find(|dependency| dependency["name"] == "wgpu").expect("wgpu");
    let [major, minor, _] = version(package["version"].as_str().expect("version"));
    let stated = [
        format!("{major}.{minor}"),
        wgpu["req"].as_str().expect("a requirement").trim_start_matches('^').to_owned(),
        package["rust_version"].as_str().expect("rust-version").to_owned(),
    ];
    assert_eq!(rows(README, "Versions")[1], stated);
    assert!(text("CHANGELOG.md").contains(package["version"].as_str().expect("version")));
}

#[test]
fn the_documents_list_the_features() {
    let metadata = metadata(&["--no-deps"]);
    let features = ours(&metadata)["features"].as_object().expect("features");
    let mut listed = BTreeSet::new();
    for row in &rows(FEATURES, "Features")[1..] {
        for name in code(row[0]) {
            let default = features["default"].as_array().expect("a list").contains(&name.as_str().into());
            assert_eq!(row[1] == "yes", default, "{name}");
            assert!(listed.insert(name.clone()), "{name} twice");
        }
    }
    let all: BTreeSet<String> = features.keys().filter(|name| *name != "default").cloned().collect();
    assert_eq!(listed, all);
}

#[test]
fn the_documents_list_the_layers() {
    let module = text("src/layers/mod.rs");
    let variants =
        module.split("layer_variants!(").last().and_then(|rest| rest.split(");").next()).expect("the variants");
    let variants: BTreeSet<String> =
        variants.lines().filter_map(|line| line.trim().split_once('(')).map(|(name, _)| name.to_owned()).collect();
    assert!(variants.len() >= 9, "{variants:?}");
    let rows = rows(LAYERS, "Layers");
    let listed =
        rows.iter().filter(|row| row.get(1) == Some(&"yes")).flat_map(|row| code(row[0])).collect::<BTreeSet<_>>();
    assert_eq!(listed, variants);
}

#[test]
fn the_documents_list_the_activations() {
    let rows = rows(LAYERS, "Everything else");
    let row = rows.iter().find(|row| row[0] == "Activations").expect("a row of activations");
    let listed = code(row[1]);
    for name in &listed {
        assert!(name == "threshold" || wgpu_conv::Activation::from_name(name).is_ok(), "{name}");
    }
    let source = text("src/activation.rs");
    let names = source.split("const NAMES").nth(1).and_then(|rest| rest.split("];").next()).expect("the names");
    let names: BTreeSet<String> = names
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(\"")?.split_once('"'))
        .map(|(name, _)| name.to_owned())
        .collect();
    let names: BTreeSet<String> = names.into_iter().chain(["threshold".to_owned()]).collect();
    assert_eq!(listed, names);
}

/// Every file of the package, below the folders that hold some.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["src", "shaders", "tests", "benches", "examples", "docs", ".ci"].map(|name| Path::new(ROOT).join(name)).into();
    while let Some(folder) = folders.pop() {
        // A published package has no `.ci`.
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    for name in ["Cargo.toml", "README.md", "SECURITY.md", "CHANGELOG.md", "rustfmt.toml", ".gitignore"] {
        files.push(Path::new(ROOT).join(name));
    }
    files
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    // Put together here, so that this file does not find itself.
    let places = ["home", "root", "Users", "work", "opt"].map(|folder| format!("/{folder}/"));
    let mut found = Vec::new();
    let mut read = 0;
    for file in files() {
        // What is not text is not looked at.
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        read += 1;
        for (number, line) in text.lines().enumerate() {
            let named = places.iter().any(|place| {
                line.match_indices(place.as_str())
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_.-~}".contains(c)))
            });
            if named {
                let relative = file.strip_prefix(ROOT).unwrap_or(&file);
                found.push(format!(
                    "{}:{}: {}",
                    relative.display(),
                    number + 1,
                    line.trim().chars().take(80).collect::<String>()
                ));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(read > 50, "only {read} files were read");
}
