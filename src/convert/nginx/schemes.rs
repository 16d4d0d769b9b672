//! The routes of one name for plain http and those for TLS → one list, in which `match` tells them apart.
//!
//! A path chooses a pattern, and `match` chooses only among the routes of the very same one (ADR 0034). So each
//! pattern of either list gets the routes of both that serve its paths. Where not one route serves all of them, and
//! those of the others cannot be asked for before, there is no such list.

use crate::convert::nginx::areas::Area;
use crate::convert::nginx::areas::Shape;
use crate::convert::nginx::areas::share;
use crate::convert::nginx::pattern::Pattern;
use crate::convert::nginx::routes::Route;
use crate::decision::routing::Taken;

/// A pattern with what serves its paths.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) pattern: Pattern,
    pub(super) http: Option<Route>,
    pub(super) https: Option<Route>,
}

/// The patterns of both lists, in an order in which the first that matches a path has the routes that each list by
/// itself has for it; none where there is no such order.
pub(super) fn together(http: &[Route], https: &[Route]) -> Option<Vec<Pair>> {
    let (http, https) = (listed(http), listed(https));
    let mut pairs = Vec::new();
    let mut before: Vec<Area> = Vec::new();
    for area in in_order(&http, &https) {
        if before.iter().any(|other| area.is_within(other)) {
            continue;
        }
        let pair = Pair {
            pattern: area.pattern.clone(),
            http: choice(&http, &area, &before).ok()?.cloned(),
            https: choice(&https, &area, &before).ok()?.cloned(),
        };
        pairs.push(pair);
        before.push(area);
    }
    Some(pairs)
}

/// A route of one of the lists.
struct Listed<'r> {
    shape: Shape,
    route: &'r Route,
}

fn listed(routes: &[Route]) -> Vec<Listed<'_>> {
    let routes = routes.iter().map(|route| Listed {
        shape: Shape::of(&route.pattern),
        route,
    });
    routes.collect()
}

/// Several routes serve the paths of a pattern.
struct Unclear;

/// The route that serves the paths of an area, as far as no earlier area takes them.
fn choice<'r>(
    list: &[Listed<'r>],
    area: &Area,
    before: &[Area],
) -> Result<Option<&'r Route>, Unclear> {
    for own in list {
        match area.taken_by(&own.shape) {
            Taken::All => return Ok(Some(own.route)),
            Taken::None => {}
            Taken::Some => {
                let mut before = before.iter();
                if !before.any(|other| other.takes(&own.shape, area)) {
                    return Err(Unclear);
                }
            }
        }
    }
    Ok(None)
}

/// All patterns, those for fewer paths first, and otherwise as they stand in their lists.
fn in_order(http: &[Listed<'_>], https: &[Listed<'_>]) -> Vec<Area> {
    let (mut one, mut other) = (http, https);
    let mut areas = Vec::new();
    loop {
        let takes_one = one
            .first()
            .is_some_and(|head| !other.iter().any(|beside| is_narrower(beside, head)));
        let from_one = takes_one || other.is_empty();
        let (list, beside) = if from_one { (one, other) } else { (other, one) };
        let Some((head, rest)) = list.split_first() else {
            return areas;
        };
        areas.extend(parts_of(head, beside));
        areas.push(Area::all(head.shape.clone(), head.route.pattern.clone()));
        if from_one {
            one = rest;
        } else {
            other = rest;
        }
    }
}

fn is_narrower(one: &Listed<'_>, other: &Listed<'_>) -> bool {
    one.shape != other.shape && share(&one.shape, &other.shape) == Taken::All
}

/// The paths of a route that expressions of the other list take before anything there takes all of them.
fn parts_of(head: &Listed<'_>, beside: &[Listed<'_>]) -> Vec<Area> {
    let mut parts = Vec::new();
    for own in beside {
        match share(&head.shape, &own.shape) {
            Taken::All => break,
            Taken::None => {}
            Taken::Some => parts.extend(Area::both(&head.shape, &own.shape)),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::convert::nginx::locations;
    use crate::convert::nginx::locations::Kind;
    use crate::convert::nginx::locations::Paths;
    use crate::convert::nginx::locations::sorted;
    use crate::convert::nginx::routes::Target;

    /// A server's routes, each with a pool that no other has.
    fn routes(word: &str, locations: &[Paths]) -> Vec<Route> {
        let locations = locations.iter().map(|paths| (paths.clone(), ()));
        let sorted = sorted(locations.collect()).into_iter().enumerate();
        let routes = sorted.map(|(place, (paths, (), _))| Route {
            comments: Vec::new(),
            pattern: paths.pattern().unwrap(),
            paths,
            target: Target::Pool(format!("{word}-{place}")),
            keys: Vec::new(),
        });
        routes.collect()
    }

    fn first<'r>(routes: &'r [Route], path: &str) -> Option<&'r Target> {
        let mut routes = routes.iter();
        let found = routes.find(|route| route.pattern.matches(path));
        found.map(|route| &route.target)
    }

    fn paths(kind: Kind, text: &str) -> Paths {
        let text = text.to_owned();
        Paths { kind, text }
    }

    fn location() -> impl Strategy<Value = Paths> {
        locations::tests::location(r"(\^/[ab]|\^/a/b\$|[ab]\$|c\$|/b)", r"([AB]/|C\$)")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Where there is a list, each path leads with either scheme where it led by itself.
        #[test]
        fn each_list_is_found_in_both(
            http in vec(location(), 0..4),
            https in vec(location(), 0..4),
            asked in vec("/[abc]{0,2}(/[abc]?){0,2}", 1..20),
        ) {
            let (http, https) = (routes("http", &http), routes("https", &https));
            let pairs = together(&http, &https);
            for path in asked {
                let Some(pairs) = &pairs else { continue };
                let mut all = pairs.iter();
                let found = all.find(|pair| pair.pattern.matches(&path));
                let target = |route: Option<&Option<Route>>| {
                    route.and_then(Option::as_ref).map(|route| route.target.clone())
                };
                let plain = target(found.map(|pair| &pair.http));
                let secured = target(found.map(|pair| &pair.https));
                prop_assert_eq!(plain, first(&http, &path).cloned(), "{} {:?}", &path, pairs);
                prop_assert_eq!(secured, first(&https, &path).cloned(), "{} {:?}", &path, pairs);
            }
        }
    }

    #[test]
    fn the_usual_fronts_have_a_list() {
        let challenge = paths(Kind::Prefix, "/.well-known/acme-challenge/");
        let root = paths(Kind::Prefix, "/");
        let http = routes("http", &[challenge, root.clone()]);
        for (more, count) in [
            (paths(Kind::Prefix, "/api/"), 3),
            (paths(Kind::Exact, "/health"), 3),
            (paths(Kind::Firm, "/.well-known/"), 3),
            (paths(Kind::Regex, r"^/api/v[0-9]+/"), 3),
            // It takes all of the challenges.
            (paths(Kind::Regex, r"/\."), 3),
            // Challenges that end so are told apart from the others.
            (paths(Kind::RegexBlind, r"\.(js|css)$"), 4),
        ] {
            let https = routes("https", &[more.clone(), root.clone()]);
            let pairs = together(&http, &https).map(|pairs| pairs.len());
            assert_eq!(pairs, Some(count), "{more:?}");
        }
        let https = routes("https", &[paths(Kind::Regex, "^/[a-z./-]+/x"), root]);
        assert!(together(&http, &https).is_none());
    }
}
