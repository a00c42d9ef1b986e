//! Image references: whether one is well formed and whether the simulated registry has it.

use std::collections::BTreeMap;

use super::object::hash64;

/// Why an image cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// It is no image reference at all.
    Malformed,
    /// The registry does not know it.
    NotFound,
}

/// What a registry holds: repositories and their tags, any tag where none is listed.
pub(crate) type Registry = BTreeMap<String, Vec<String>>;

/// Looks for an image in the registry; without one every well-formed image exists.
pub(crate) fn find(image: &str, registry: Option<&Registry>) -> Result<(), Unavailable> {
    if !is_well_formed(image) {
        return Err(Unavailable::Malformed);
    }
    let Some(registry) = registry else { return Ok(()) };
    let full = normalized(image);
    let wanted = full.split('@').next().unwrap_or_default();
    let tagged = has_tag(wanted).then(|| wanted.rsplit_once(':')).flatten();
    let (repository, tag) = tagged.unwrap_or((wanted, ""));
    let known = registry.iter().any(|(name, tags)| {
        let same = name == repository || qualified(name) == repository;
        // a digest names content, whatever its tag
        same && (tags.is_empty() || image.contains('@') || tags.iter().any(|one| one == tag))
    });
    if known { Ok(()) } else { Err(Unavailable::NotFound) }
}

/// The image with host and tag spelled out: `docker.io/library/nginx:latest`.
pub(crate) fn normalized(image: &str) -> String {
    let hosted = qualified(image);
    if has_tag(&hosted) { hosted } else { format!("{hosted}:latest") }
}

/// The image with its registry's host spelled out.
fn qualified(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}

/// The digest reference that the kubelet reports for an image.
pub(crate) fn image_id(image: &str) -> String {
    if image.contains('@') {
        return normalized(image);
    }
    let full = normalized(image);
    let repository = full.rsplit_once(':').map_or(full.as_str(), |(repository, _)| repository);
    format!("{repository}@sha256:{}", digest(&full))
}

/// 64 hexadecimal digits that follow from `text`.
pub(crate) fn digest(text: &str) -> String {
    ["0", "1", "2", "3"].iter().map(|part| format!("{:016x}", hash64(&[part, text]))).collect()
}

fn has_tag(image: &str) -> bool {
    image.contains('@') || image.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

fn is_well_formed(image: &str) -> bool {
    let (reference, digest) = match image.split_once('@') {
        Some((reference, digest)) => (reference, Some(digest)),
        None => (image, None),
    };
    let digest_fits = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(algorithm, hex)| {
            !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
        })
    });
    let slash = reference.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match reference[slash..].split_once(':') {
        Some((_, tag)) => (&reference[..reference.len() - tag.len() - 1], Some(tag)),
        None => (reference, None),
    };
    let tag_fits = tag.is_none_or(|tag| {
        (1..=128).contains(&tag.len())
            && !tag.starts_with(['.', '-'])
            && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    });
    let component = |(at, part): (usize, &str)| {
        let host = at == 0 && part.contains(['.', ':']);
        let allowed = |b: u8| {
            b.is_ascii_lowercase()
                || b.is_ascii_digit()
                || b"._-".contains(&b)
                || (host && (b == b':' || b.is_ascii_uppercase()))
        };
        !part.is_empty()
            && part.bytes().all(allowed)
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    digest_fits && tag_fits && path.split('/').enumerate().all(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_or_not() {
        for image in [
            "nginx",
            "nginx:1.25",
            "a/b:c",
            "localhost:5000/x/y:v1",
            "reg.io/a@sha256:0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(find(image, None), Ok(()), "{image}");
        }
        for image in
            ["", "Nginx", "nginx:", "nginx:a b", "nginx:-x", "a//b", "a@b", "nginx:1:2", "/x"]
        {
            assert_eq!(find(image, None), Err(Unavailable::Malformed), "{image}");
        }
    }

    #[test]
    fn the_registry_knows_what_it_lists() {
        let list = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
        let registry = Registry::from([
            ("reg.io/shop/web".to_owned(), list(&["1.4.2", "1.5.0"])),
            ("reg.io:5000/tool".to_owned(), list(&[])),
            ("nginx".to_owned(), list(&["1.25", "latest"])),
        ]);
        for (image, known) in [
            ("reg.io/shop/web:1.4.2", true),
            ("reg.io/shop/web:2.0", false),
            ("reg.io/shop/web", false),
            ("reg.io/shop/web@sha256:0123456789abcdef0123456789abcdef", true),
            ("reg.io:5000/tool:b", true),
            ("nginx", true),
            ("docker.io/library/nginx:1.25", true),
            ("redis", false),
        ] {
            assert_eq!(find(image, Some(&registry)).is_ok(), known, "{image}");
        }
    }

    #[test]
    fn ids_are_stable() {
        assert_eq!(normalized("nginx"), "docker.io/library/nginx:latest");
        let id = image_id("reg.io:5000/a:1");
        assert!(id.starts_with("reg.io:5000/a@sha256:") && id.len() == 21 + 64, "{id}");
    }
}
