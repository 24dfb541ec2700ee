//! Has the program built again when a template is added or removed: the macro that embeds the
//! directory tells cargo only about the files that it has found.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=templates");
}
