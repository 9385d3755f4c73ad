//! What every file must have, and what only some files may do.

use std::path::Path;

use crate::tree::{packages, read, rust_files};

/// Whether an attribute in the file allows a lint with this name, alone or with others.
fn permits(text: &str, lint: &str) -> bool {
    let lists = ["allow(", "expect("].into_iter().flat_map(|level| text.split(level).skip(1));
    lists.filter_map(|rest| rest.split(')').next()).any(|list| list.contains(lint))
}

/// Whether `unsafe` may be used in the file.
fn may_be_unsafe(path: &Path, text: &str) -> bool {
    // A counting allocator cannot be written without `unsafe`, and only tests need one.
    let counts_allocations = is_test(path) && text.contains("unsafe impl GlobalAlloc");
    // The functions of the C interface get pointers.
    path.starts_with("crates/kernels") || path.starts_with("crates/capi") || counts_allocations
}

/// Whether the file may print.
fn may_print(path: &Path) -> bool {
    let is_program = path.starts_with("crates/cli") || path.starts_with("xtask");
    is_program || is_test(path) || is_in(path, "benches") || is_in(path, "examples")
}

fn is_test(path: &Path) -> bool {
    is_in(path, "tests") || path.ends_with("tests.rs")
}

fn is_in(path: &Path, folder: &str) -> bool {
    path.components().any(|part| part.as_os_str() == folder)
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for path in rust_files() {
        assert!(
            read(&path).starts_with("//! "),
            "`{}` does not start with a module comment (`//! `)",
            path.display()
        );
    }
}

#[test]
fn unsafe_code_is_in_kernels_and_the_c_interface_only() {
    assert!(read("Cargo.toml").contains("\nunsafe_code = \"deny\"\n"));
    for path in rust_files() {
        let text = read(&path);
        let unsafe_code = permits(&text, "unsafe_code");
        assert!(!unsafe_code || may_be_unsafe(&path, &text), "`{}` allows unsafe code", path.display());
    }
    assert!(permits(&read("crates/kernels/src/lib.rs"), "unsafe_code"));
}

/// Clippy wants a `SAFETY:` comment above each unsafe block and implementation, and a `# Safety` section in the docs of
/// each unsafe function. Here: it is asked to, and nothing is excepted.
#[test]
fn every_use_of_unsafe_gives_its_reason() {
    let lints = ["undocumented_unsafe_blocks", "missing_safety_doc"];
    let manifest = read("Cargo.toml");
    for lint in lints {
        assert!(manifest.contains(&format!("\n{lint} = \"warn\"\n")), "`{lint}` is off");
    }
    assert!(read("clippy.toml").contains("\ncheck-private-items = true\n"));
    let silenced = |text: &str| lints.into_iter().find(|lint| permits(text, lint));
    for path in rust_files() {
        assert_eq!(silenced(&read(&path)), None, "in `{}`", path.display());
    }
}

#[test]
fn libraries_do_not_print() {
    for path in rust_files() {
        let printing = permits(&read(&path), "clippy::print_");
        assert!(!printing || may_print(&path), "`{}` allows printing", path.display());
    }
}

#[test]
fn every_package_has_the_lints_of_the_workspace() {
    for package in packages() {
        let manifest = read(&package.manifest_path);
        let path = package.manifest_path.display();
        assert!(
            manifest.contains("[lints]\nworkspace = true\n"),
            "`{path}` does not use the workspace's lints"
        );
    }
}

/// The names of the public functions in the text that return a borrowed slice.
fn slices_lent(text: &str) -> Vec<&str> {
    let functions = text.split("pub fn ").skip(1).filter_map(|rest| rest.split(['{', ';']).next());
    let lends = |signature: &&str| {
        let returned = signature.rsplit_once("->").map_or("", |(_, returned)| returned);
        returned.contains('&') && returned.contains('[')
    };
    functions.filter(lends).filter_map(|signature| signature.split(['(', '<']).next()).collect()
}

#[test]
fn host_memory_of_a_buffer_is_reached_in_kernels_only() {
    // If no public function returns a slice, other crates can access the memory only by fallible reads and writes.
    let buffer = read("crates/kernels/src/buffer.rs");
    assert!(
        buffer.contains("pub struct Slice<") && buffer.contains("pub fn read("),
        "`Slice` or `read` is no longer in `buffer.rs`"
    );
    assert_eq!(slices_lent(&buffer), [""; 0], "public functions of `buffer.rs` that return a slice");
    for line in buffer.lines().filter(|line| line.starts_with("impl")) {
        let lends = ["Deref", "Index", "AsRef", "AsMut", "Borrow"].iter().any(|name| line.contains(name));
        assert!(!lends, "`buffer.rs` gives direct access to memory: `{line}`");
    }
    let accesses = |text: &str| text.matches(".host()").count() + text.matches(".host_mut()").count();
    for path in rust_files().iter().filter(|path| !path.starts_with("crates/kernels")) {
        // This file contains the names as strings.
        if !path.ends_with("confined.rs") {
            assert_eq!(accesses(&read(path)), 0, "direct accesses to host memory in `{}`", path.display());
        }
    }
}

#[test]
fn a_slice_that_is_lent_is_found() {
    let text = "pub fn read(&self) -> Result<Cow<'_, [T]>> {}\npub fn len(&self) -> usize {}\n\
                pub fn values<'a>(&'a self) -> &'a [T] {}\npub(crate) fn host(&self) -> &[T] {}\n";
    assert_eq!(slices_lent(text), ["values"]);
}
