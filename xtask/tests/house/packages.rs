//! Every published package has what registries and distributions need, and contains all files that its code includes.

use std::fs;

use crate::tree::{Package, entries, files, name_of, packages, read, root};

fn is_published(package: &Package) -> bool {
    package.publish.is_none()
}

#[test]
fn all_crates_are_published_with_licenses_a_readme_and_metadata() {
    let published: Vec<Package> = packages().into_iter().filter(is_published).collect();
    assert_eq!(published.len(), entries("crates").len());
    for package in published {
        let (name, folder) = (&package.name, format!("crates/{}", package.folder()));
        assert!(name.starts_with("rondo-"), "the registry could have another `{name}`");
        let texts = [&package.description, &package.license, &package.readme, &package.rust_version];
        assert!(texts.into_iter().all(Option::is_some), "`{name}` lacks one of {texts:?}");
        assert!(!package.keywords.is_empty() && !package.categories.is_empty(), "`{name}` lacks keywords");
        for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let found = fs::read_to_string(root().join(&folder).join(license)).unwrap_or_default();
            assert!(found == read(license), "`{folder}` needs a link to {license}");
        }
    }
}

/// Tests are compiled in a checkout only.
#[test]
fn code_includes_only_files_of_its_package() {
    for path in files("crates", "rs").into_iter().filter(|path| name_of(path) != "tests.rs") {
        // As many steps up as lead out of the package.
        let up = "../".repeat(path.components().skip_while(|part| part.as_os_str() != "src").count());
        let text = read(&path);
        let code = text.split("#[cfg(test)]").next().and_then(|code| code.split("#[cfg(doctest)]").next());
        let outside = format!("\"{up}");
        let mut included = code.unwrap_or_default().lines().filter(|line| line.contains("include_"));
        let includes_others = !up.is_empty() && included.any(|line| line.contains(&outside));
        assert!(!includes_others, "`{}` includes a file outside of its package", path.display());
    }
}
