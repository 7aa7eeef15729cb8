//! From the host and path of a request to its service: precompiled, allocation-free, linear in what the client sent.
//!
//! The most exact host pattern that has a matching path wins: exact, then the longest suffix, then any. Within a host the longest
//! prefix of whole path segments wins. The path is taken as sent: nothing is decoded, so what matches is what the instance reads.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use gapless_model::{Host, PathPrefix};

use crate::table::{Pool, Service, ServiceRoute, Table};

/// The longest host that can match: DNS names have at most 253 bytes.
const HOST_BYTES_MAX: usize = 255;

/// Where a request belongs.
#[derive(Clone, Copy, Debug)]
pub struct Match<'t> {
    /// The service.
    pub service: &'t Service,
    /// The index of the route in [`Service::routes`].
    pub route: usize,
    /// The release that the host alone names, where it is a preview host.
    pub preview: Option<&'t Pool>,
}

impl<'t> Match<'t> {
    /// The route that matched.
    #[must_use]
    pub fn service_route(&self) -> &'t ServiceRoute {
        &self.service.routes[self.route]
    }
}

/// Indices into a table: service, route, and the pool that a preview host names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub service: u32,
    pub route: u32,
    pub preview: Option<u32>,
}

/// The precompiled patterns.
#[derive(Default)]
pub(crate) struct Matcher {
    exact: HashMap<Box<[u8]>, Paths, BuildHasherDefault<HostHasher>>,
    /// By what follows `*.`.
    suffix: HashMap<Box<[u8]>, Paths, BuildHasherDefault<HostHasher>>,
    any: Paths,
}

impl Matcher {
    /// Adds a route; false when host and path are taken already.
    #[must_use]
    pub(crate) fn insert(&mut self, host: &Host, path: &PathPrefix, target: Target) -> bool {
        let host = host.as_str();
        let paths = match (host, host.strip_prefix("*.")) {
            ("*", _) => &mut self.any,
            (_, Some(suffix)) => self.suffix.entry(suffix.as_bytes().into()).or_default(),
            (_, None) => self.exact.entry(host.as_bytes().into()).or_default(),
        };
        paths.insert(path, target)
    }

    fn find(&self, host: &[u8], path: &[u8]) -> Option<Target> {
        let mut buffer = [0; HOST_BYTES_MAX];
        let host = normal(host, &mut buffer);
        if let Some(found) = self.exact.get(host).and_then(|paths| paths.find(path)) {
            return Some(found);
        }
        if !self.suffix.is_empty() {
            let mut rest = host;
            while let Some(dot) = rest.iter().position(|byte| *byte == b'.') {
                rest = &rest[dot + 1..];
                if let Some(found) = self.suffix.get(rest).and_then(|paths| paths.find(path)) {
                    return Some(found);
                }
            }
        }
        self.any.find(path)
    }
}

impl Table {
    /// The service of a request, by its `Host` (any case, with or without port, final dot or brackets) and its path (a query may
    /// follow). An empty host matches only routes for any host.
    #[must_use]
    pub fn find(&self, host: &[u8], path: &[u8]) -> Option<Match<'_>> {
        let target = self.matcher.find(host, path)?;
        let service = self.services.get(target.service as usize)?;
        let preview = target.preview.and_then(|pool| service.pools.get(pool as usize));
        Some(Match { service, route: target.route as usize, preview })
    }
}

/// A host without port and final dot, in lower case; empty where it is longer than any pattern.
fn normal<'b>(host: &[u8], buffer: &'b mut [u8; HOST_BYTES_MAX]) -> &'b [u8] {
    let end = match host.first() {
        Some(b'[') => host.iter().position(|byte| *byte == b']').map_or(host.len(), |at| at + 1),
        _ => host.iter().position(|byte| *byte == b':').unwrap_or(host.len()),
    };
    let host = &host[..end];
    let host = host.strip_suffix(b".").unwrap_or(host);
    let Some(lowered) = buffer.get_mut(..host.len()) else { return &[] };
    lowered.copy_from_slice(host);
    lowered.make_ascii_lowercase();
    lowered
}

/// The path prefixes of one host, as a tree of segments.
#[derive(Default)]
struct Paths {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    target: Option<Target>,
    /// Sorted by segment.
    children: Vec<(Box<[u8]>, u32)>,
}

impl Paths {
    fn insert(&mut self, path: &PathPrefix, target: Target) -> bool {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        if path.as_str() != "/" {
            for segment in path.as_str()[1..].split('/') {
                at = self.child(at, segment.as_bytes());
            }
        }
        let free = self.nodes[at].target.is_none();
        if free {
            self.nodes[at].target = Some(target);
        }
        free
    }

    fn child(&mut self, of: usize, segment: &[u8]) -> usize {
        match self.nodes[of].children.binary_search_by(|(name, _)| (**name).cmp(segment)) {
            Ok(found) => self.nodes[of].children[found].1 as usize,
            Err(place) => {
                let new = self.nodes.len();
                self.nodes.push(Node::default());
                self.nodes[of].children.insert(place, (segment.into(), new as u32));
                new
            }
        }
    }

    fn find(&self, path: &[u8]) -> Option<Target> {
        let mut node = self.nodes.first()?;
        let mut found = node.target;
        if node.children.is_empty() {
            return found;
        }
        let end = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
        let mut segments = path[..end].strip_prefix(b"/").unwrap_or_default().split(|byte| *byte == b'/');
        while let Some(segment) = segments.next()
            && let Ok(place) = node.children.binary_search_by(|(name, _)| (**name).cmp(segment))
        {
            node = &self.nodes[node.children[place].1 as usize];
            found = node.target.or(found);
        }
        found
    }
}

/// FNV-1a: short keys, and the patterns are the operator's, so nobody can choose colliding ones.
struct HostHasher(u64);

impl Default for HostHasher {
    fn default() -> Self {
        HostHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for HostHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, _length: usize) {} // keys are whole byte strings: their length tells nothing more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(routes: &[&str]) -> Matcher {
        let mut matcher = Matcher::default();
        for (index, route) in routes.iter().enumerate() {
            let (host, path) = route.split_once(' ').unwrap();
            let target = Target { service: index as u32, route: 0, preview: None };
            assert!(matcher.insert(&Host::new(host).unwrap(), &PathPrefix::new(path).unwrap(), target));
        }
        matcher
    }

    #[test]
    fn the_most_exact_host_then_the_longest_path_of_whole_segments_wins() {
        let routes =
            ["* /", "shop.example /", "shop.example /api", "shop.example /api/v2", "*.example /", "*.eu.example /x"];
        let matcher = matcher(&routes);
        for (host, path, expected) in [
            ("other", "/", "* /"),
            ("", "/", "* /"),
            ("shop.example", "/", "shop.example /"),
            ("SHOP.example.:8080", "/apiary", "shop.example /"),
            ("shop.example", "/api", "shop.example /api"),
            ("shop.example", "/api?x=/v2", "shop.example /api"),
            ("shop.example", "/api/v2/cart", "shop.example /api/v2"),
            ("shop.example", "/api/v20", "shop.example /api"),
            ("shop.example", "/api//v2", "shop.example /api"),
            ("web.example", "/", "*.example /"),
            ("a.eu.example", "/x/y", "*.eu.example /x"),
            ("a.eu.example", "/y", "*.example /"),
            ("example", "/", "* /"),
            ("[::1]:80", "/", "* /"),
            ("shop.example", "*", "shop.example /"),
        ] {
            let found = matcher.find(host.as_bytes(), path.as_bytes()).map(|target| routes[target.service as usize]);
            assert_eq!(found, Some(expected), "{host} {path}");
        }
    }

    #[test]
    fn what_no_pattern_holds_is_not_found() {
        let matcher = matcher(&["shop.example /api", "[::1] /"]);
        assert!(matcher.find(b"shop.example", b"/").is_none());
        assert!(matcher.find(b"other", b"/api").is_none());
        assert!(matcher.find(&[b'a'; 300], b"/api").is_none());
        assert!(matcher.find(b"[::1]:8080", b"/").is_some());
        assert!(matcher.find(b"[::1", b"/").is_none());
    }
}
