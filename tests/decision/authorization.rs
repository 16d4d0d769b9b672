//! Policies: the first rule that holds decides, nothing is allowed by silence, and what cannot be told
//! refuses (S-10).

use std::net::IpAddr;
use std::sync::LazyLock;

use http::HeaderMap;
use http::Method;
use ipnet::IpNet;
use portway::decision::authorization::Verdict;
use portway::decision::authorization::authorize;
use portway::decision::facts::RequestFacts;
use portway::decision::facts::Subject;
use portway::decision::forwarded::Scheme;
use portway::decision::policy::Condition;
use portway::decision::policy::Effect;
use portway::decision::policy::Policy;
use portway::decision::policy::Rule;
use portway::model::id::RequestId;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::GroupName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Attributes;
use portway::model::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::cases;

const GROUPS: [&str; 3] = ["staff", "admins", "guests"];
const USERS: [&str; 3] = ["alice", "bob", "carol"];
const RANGES: [&str; 4] = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0"];

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

pub(crate) fn level(level: u8) -> AuthLevel {
    AuthLevel::new(level).unwrap()
}

fn in_group(name: &str) -> Condition {
    Condition::Group(vec![group(name)].into())
}

fn is_user(name: &str) -> Condition {
    Condition::User(vec![user(name)].into())
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

/// Holds whoever asks.
fn always() -> Condition {
    Condition::All(Vec::new())
}

/// Holds for nobody.
fn never() -> Condition {
    Condition::Any(Vec::new())
}

fn allow(when: Condition) -> Rule {
    let effect = Effect::Allow;
    Rule { effect, when }
}

fn deny(when: Condition) -> Rule {
    let effect = Effect::Deny;
    Rule { effect, when }
}

pub(crate) fn identity(name: &str, groups: &[&str]) -> Identity {
    Identity {
        store: StoreName::parse("local").unwrap(),
        subject: user(name),
        name: None,
        email: None,
        groups: groups.iter().map(|name| group(name)).collect(),
        attributes: Default::default(),
    }
}

/// A request without headers and query.
pub(crate) fn request(method: &Method, address: IpAddr) -> RequestFacts<'_> {
    RequestFacts {
        id: RequestId::from_bytes([0; 16]),
        method,
        scheme: Scheme::Https,
        host: "app.test",
        path: "/",
        query: None,
        headers: &NO_HEADERS,
        address,
        tls: None,
    }
}

static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);

/// What a request is asked about, owned.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) identity: Option<Identity>,
    pub(crate) attributes: Attributes,
    pub(crate) level: AuthLevel,
    pub(crate) address: IpAddr,
    pub(crate) method: Method,
}

impl Facts {
    fn of(identity: Option<Identity>) -> Self {
        Self {
            identity,
            attributes: Attributes::Known,
            level: level(20),
            address: "192.0.2.7".parse().unwrap(),
            method: Method::GET,
        }
    }

    fn judge(&self, policy: &Policy) -> Verdict {
        authorize(policy, &self.subject(&self.request()))
    }

    pub(crate) fn request(&self) -> RequestFacts<'_> {
        request(&self.method, self.address)
    }

    pub(crate) fn subject<'a>(&'a self, request: &'a RequestFacts<'a>) -> Subject<'a> {
        Subject {
            identity: self.identity.as_ref(),
            attributes: self.attributes,
            level: self.level,
            session: None,
            request,
            now: Timestamp::from_millis(1_000),
        }
    }

    fn judge_rules(&self, rules: Vec<Rule>) -> Verdict {
        self.judge(&Policy::new(rules))
    }

    /// Whether a condition holds; a rule that allows and one that denies together tell all three.
    fn holds(&self, condition: &Condition) -> Option<bool> {
        let allowed = self.judge_rules(vec![allow(condition.clone())]);
        let denied = self.judge_rules(vec![deny(condition.clone())]);
        match (allowed, denied) {
            (Verdict::Allow(0), Verdict::Deny(Some(0))) => Some(true),
            (Verdict::Deny(None), Verdict::Deny(None)) => Some(false),
            (Verdict::Deny(None), Verdict::Deny(Some(0))) => None,
            contradiction => panic!("{condition:?}: {contradiction:?}"),
        }
    }
}

fn anonymous() -> Facts {
    Facts::of(None)
}

fn alice() -> Facts {
    Facts::of(Some(identity("alice", &["staff"])))
}

/// Alice in a session that was built from a cookie's facts: what groups she is in is not known.
fn alice_of_a_cookie() -> Facts {
    Facts {
        attributes: Attributes::Unknown,
        ..Facts::of(Some(identity("alice", &[])))
    }
}

/// Which conditions a policy is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    /// All there are.
    Everything,
    /// Those about who the user is, of which nothing is known without an identity; and those about
    /// the request itself.
    Identity,
    /// Those that hold for ever more as more facts are added: no negation.
    Positive,
}

fn one_of(names: [&'static str; 3]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(names.to_vec(), 0..=3)
}

fn leaf(vocabulary: Vocabulary) -> BoxedStrategy<Condition> {
    let ranges = proptest::sample::subsequence(RANGES.to_vec(), 0..=2).prop_map(|ranges| {
        let parsed = ranges.iter().map(|range| range.parse::<IpNet>().unwrap());
        Condition::Address(parsed.collect())
    });
    let methods = proptest::sample::subsequence(vec![Method::GET, Method::PUT], 0..=2);
    let groups = one_of(GROUPS).prop_map(|names| names.into_iter().map(group).collect());
    let users = one_of(USERS).prop_map(|names| names.into_iter().map(user).collect());
    let about_user = prop_oneof![
        groups.prop_map(Condition::Group),
        users.prop_map(Condition::User)
    ];
    let about_request = prop_oneof![ranges, methods.prop_map(Condition::Method)];
    let about_sign_in = prop_oneof![
        (0_u8..=99).prop_map(|least| Condition::Level(level(least))),
        Just(Condition::SignedIn),
    ];
    match vocabulary {
        Vocabulary::Everything => prop_oneof![about_user, about_request, about_sign_in].boxed(),
        Vocabulary::Identity => prop_oneof![about_user, about_request].boxed(),
        Vocabulary::Positive => prop_oneof![about_user, about_request, about_sign_in].boxed(),
    }
}

fn condition(vocabulary: Vocabulary) -> impl Strategy<Value = Condition> {
    leaf(vocabulary).prop_recursive(4, 24, 4, move |inner| {
        let all = vec(inner.clone(), 0..4).prop_map(Condition::All);
        let any = vec(inner.clone(), 0..4).prop_map(Condition::Any);
        match vocabulary {
            Vocabulary::Positive => prop_oneof![all, any].boxed(),
            Vocabulary::Everything | Vocabulary::Identity => {
                prop_oneof![all, any, inner.prop_map(not)].boxed()
            }
        }
    })
}

pub(crate) fn policy(vocabulary: Vocabulary) -> impl Strategy<Value = Policy> {
    let effect = match vocabulary {
        Vocabulary::Positive => Just(Effect::Allow).boxed(),
        Vocabulary::Everything | Vocabulary::Identity => {
            prop_oneof![Just(Effect::Allow), Just(Effect::Deny)].boxed()
        }
    };
    let rule = (effect, condition(vocabulary)).prop_map(|(effect, when)| Rule { effect, when });
    vec(rule, 0..6).prop_map(Policy::new)
}

pub(crate) fn facts() -> impl Strategy<Value = Facts> {
    let user = proptest::sample::select(USERS.to_vec());
    let identity = proptest::option::weighted(
        0.8,
        (user, one_of(GROUPS)).prop_map(|(user, groups)| identity(user, &groups)),
    );
    let addresses = [
        "10.1.2.3",
        "192.0.2.7",
        "198.51.100.1",
        "2001:db8::1",
        "::1",
    ];
    let address = proptest::sample::select(addresses.to_vec());
    let method = proptest::sample::select(vec![Method::GET, Method::HEAD, Method::PUT]);
    let attributes = proptest::sample::select(vec![Attributes::Known, Attributes::Unknown]);
    (identity, attributes, 0_u8..=99, address, method).prop_map(
        |(identity, attributes, rank, address, method)| Facts {
            identity,
            attributes,
            level: level(rank),
            address: address.parse().unwrap(),
            method,
        },
    )
}

#[test]
fn an_empty_policy_allows_nobody() {
    for facts in [alice(), anonymous()] {
        assert_eq!(facts.judge_rules(Vec::new()), Verdict::Deny(None));
    }
}

#[test]
fn where_no_rule_holds_the_request_is_denied() {
    let rules = vec![
        allow(in_group("admins")),
        deny(is_user("bob")),
        allow(never()),
    ];
    assert_eq!(alice().judge_rules(rules), Verdict::Deny(None));
}

#[test]
fn the_first_rule_that_holds_decides() {
    let cases = [
        (vec![allow(always()), deny(always())], Verdict::Allow(0)),
        (
            vec![deny(always()), allow(always())],
            Verdict::Deny(Some(0)),
        ),
        (
            vec![
                deny(is_user("bob")),
                allow(in_group("staff")),
                deny(always()),
            ],
            Verdict::Allow(1),
        ),
        (
            vec![
                allow(is_user("bob")),
                deny(in_group("staff")),
                allow(always()),
            ],
            Verdict::Deny(Some(1)),
        ),
    ];
    for (rules, verdict) in cases {
        assert_eq!(alice().judge_rules(rules.clone()), verdict, "{rules:?}");
    }
}

#[test]
fn what_asks_about_a_user_cannot_be_told_of_nobody_and_its_negation_neither_s_10() {
    for condition in [in_group("staff"), is_user("alice")] {
        assert_eq!(anonymous().holds(&condition), None);
        assert_eq!(anonymous().holds(&not(condition.clone())), None);
        assert_eq!(anonymous().holds(&not(not(condition.clone()))), None);
        assert_eq!(alice().holds(&condition), Some(true));
        assert_eq!(alice().holds(&not(condition)), Some(false));
    }
}

#[test]
fn an_attribute_that_is_not_known_lets_nobody_in_not_even_by_its_absence_s_10() {
    let alice = alice_of_a_cookie();
    for condition in [in_group("staff"), in_group("guests")] {
        assert_eq!(alice.holds(&condition), None);
        assert_eq!(alice.holds(&not(condition.clone())), None);
        let only_others = vec![allow(not(condition.clone()))];
        assert_eq!(alice.judge_rules(only_others), Verdict::Deny(None));
        let all_but_these = vec![deny(condition), allow(Condition::SignedIn)];
        assert_eq!(alice.judge_rules(all_but_these), Verdict::Deny(Some(0)));
    }
}

#[test]
fn who_the_user_is_is_known_where_the_attributes_are_not_s_1_s_10() {
    let alice = alice_of_a_cookie();
    assert_eq!(alice.holds(&is_user("alice")), Some(true));
    assert_eq!(alice.holds(&is_user("bob")), Some(false));
    assert_eq!(alice.holds(&Condition::SignedIn), Some(true));
    let either = Condition::Any(vec![in_group("staff"), is_user("alice")]);
    assert_eq!(
        alice.holds(&either),
        Some(true),
        "the group decides nothing"
    );
    let both = Condition::All(vec![in_group("staff"), is_user("alice")]);
    assert_eq!(alice.holds(&both), None);
}

#[test]
fn whether_somebody_is_signed_in_can_always_be_told() {
    assert_eq!(anonymous().holds(&Condition::SignedIn), Some(false));
    assert_eq!(anonymous().holds(&not(Condition::SignedIn)), Some(true));
    assert_eq!(alice().holds(&Condition::SignedIn), Some(true));
}

#[test]
fn a_rule_that_cannot_be_told_never_allows_and_always_denies_s_10() {
    let unknown = in_group("staff");
    let rules = |rule| vec![rule, allow(always())];
    let denied = anonymous().judge_rules(rules(deny(unknown.clone())));
    assert_eq!(denied, Verdict::Deny(Some(0)));
    let denied = anonymous().judge_rules(rules(deny(not(unknown.clone()))));
    assert_eq!(denied, Verdict::Deny(Some(0)));
    let passed_over = anonymous().judge_rules(rules(allow(unknown)));
    assert_eq!(passed_over, Verdict::Allow(1));
}

/// The tables of Kleene's logic: one decisive part settles a whole, otherwise one unknown leaves it open.
#[test]
fn conditions_combine_in_three_values_s_10() {
    let unknown = in_group("staff");
    let part = |value| match value {
        Some(true) => always(),
        Some(false) => never(),
        None => unknown.clone(),
    };
    let (yes, no) = (Some(true), Some(false));
    let table = [
        (yes, yes, yes, yes),
        (yes, no, no, yes),
        (yes, None, None, yes),
        (no, yes, no, yes),
        (no, no, no, no),
        (no, None, no, None),
        (None, yes, None, yes),
        (None, no, no, None),
        (None, None, None, None),
    ];
    for (one, other, all, any) in table {
        let parts = vec![part(one), part(other)];
        let judged = anonymous().holds(&Condition::All(parts.clone()));
        assert_eq!(judged, all, "all of {one:?} and {other:?}");
        let judged = anonymous().holds(&Condition::Any(parts));
        assert_eq!(judged, any, "any of {one:?} and {other:?}");
    }
    assert_eq!(anonymous().holds(&always()), yes);
    assert_eq!(anonymous().holds(&never()), no);
}

#[test]
fn a_condition_with_an_empty_list_holds_for_nobody_who_can_be_told() {
    let empty = [
        Condition::Address(Vec::new()),
        Condition::Group(Vec::new().into()),
        Condition::Method(Vec::new()),
        Condition::User(Vec::new().into()),
    ];
    for condition in empty {
        assert_eq!(alice().holds(&condition), Some(false), "{condition:?}");
    }
}

#[test]
fn each_condition_asks_about_its_own_fact() {
    let facts = alice();
    let range = |range: &str| Condition::Address(vec![range.parse().unwrap()]);
    let cases = [
        (range("192.0.2.0/24"), true),
        (range("192.0.3.0/24"), false),
        (range("::/0"), false),
        (
            Condition::Group(vec![group("admins"), group("staff")].into()),
            true,
        ),
        (in_group("Staff"), false),
        (Condition::Level(level(20)), true),
        (Condition::Level(level(21)), false),
        (Condition::Method(vec![Method::PUT, Method::GET]), true),
        (Condition::Method(vec![Method::POST]), false),
        (Condition::Method(vec![Method::HEAD]), false),
        (is_user("alice"), true),
        (is_user("Alice"), false),
    ];
    for (condition, holds) in cases {
        assert_eq!(facts.holds(&condition), Some(holds), "{condition:?}");
    }
}

#[test]
fn a_head_request_is_judged_as_the_get_whose_answer_it_asks_about() {
    let mut facts = alice();
    facts.method = Method::HEAD;
    let holds = |method| facts.holds(&Condition::Method(vec![method]));
    assert_eq!(holds(Method::GET), Some(true));
    assert_eq!(holds(Method::HEAD), Some(true));
    assert_eq!(holds(Method::POST), Some(false));
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_rule_after_the_deciding_one_changes_nothing(
        policy in policy(Vocabulary::Everything),
        more in policy(Vocabulary::Everything),
        facts in facts(),
    ) {
        let verdict = facts.judge(&policy);
        let longer = Policy::new([policy.rules(), more.rules()].concat());
        if verdict != Verdict::Deny(None) {
            prop_assert_eq!(facts.judge(&longer), verdict);
        }
    }

    #[test]
    fn the_deciding_rule_decides_alone_and_none_before_it_does(
        policy in policy(Vocabulary::Everything),
        facts in facts(),
    ) {
        let (deciding, verdict_alone) = match facts.judge(&policy) {
            Verdict::Allow(rule) => (rule, Verdict::Allow(0)),
            Verdict::Deny(Some(rule)) => (rule, Verdict::Deny(Some(0))),
            Verdict::Deny(None) => (policy.rules().len(), Verdict::Deny(None)),
        };
        let alone: Vec<_> = policy.rules().get(deciding).cloned().into_iter().collect();
        prop_assert_eq!(facts.judge_rules(alone), verdict_alone);
        for before in &policy.rules()[..deciding] {
            prop_assert_eq!(facts.judge_rules(vec![before.clone()]), Verdict::Deny(None));
        }
    }

    /// Where many rules next to each other ask for names only they are looked up together; that decides
    /// like a walk over them one by one.
    #[test]
    fn many_rules_about_names_decide_like_one_after_the_other(
        effects in vec((0..12_usize, any::<bool>()), 0..6),
        names in vec((0..3_usize, 0..8_usize, any::<bool>()), 72),
        facts in facts(),
    ) {
        let mut names = names.into_iter();
        let mut rules = Vec::new();
        for (count, allows) in effects {
            for (place, second, is_user) in names.by_ref().take(count) {
                // Most of the names are nobody's.
                let (first, more) = (place * second, format!("other-{second}"));
                let when = match (is_user, USERS.get(first), GROUPS.get(first)) {
                    (true, Some(name), _) => Condition::User(vec![user(&more), user(name)].into()),
                    (false, _, Some(name)) => Condition::Group(vec![group(name), group(&more)].into()),
                    (true, None, _) => Condition::User(vec![user(&more)].into()),
                    (false, _, None) => Condition::Group(vec![group(&more)].into()),
                };
                rules.push(if allows { allow(when) } else { deny(when) });
            }
        }
        let walked = rules.iter().enumerate().find_map(|(at, rule)| {
            match facts.judge_rules(vec![rule.clone()]) {
                Verdict::Allow(_) => Some(Verdict::Allow(at)),
                Verdict::Deny(Some(_)) => Some(Verdict::Deny(Some(at))),
                Verdict::Deny(None) => None,
            }
        });
        prop_assert_eq!(facts.judge_rules(rules), walked.unwrap_or(Verdict::Deny(None)));
    }

    /// Not knowing the groups never lets anybody in whom some groups would keep out.
    #[test]
    fn what_is_allowed_without_knowing_the_groups_is_allowed_whatever_they_are_s_10(
        policy in policy(Vocabulary::Everything),
        facts in facts(),
        groups in one_of(GROUPS),
    ) {
        let unknown = Facts { attributes: Attributes::Unknown, ..facts.clone() };
        if matches!(unknown.judge(&policy), Verdict::Allow(_)) {
            let mut known = Facts { attributes: Attributes::Known, ..facts };
            if let Some(identity) = &mut known.identity {
                identity.groups = groups.into_iter().map(group).collect();
            }
            prop_assert!(matches!(known.judge(&policy), Verdict::Allow(_)));
        }
    }

    /// What a record happens to hold of attributes that nobody vouched for makes no difference.
    #[test]
    fn attributes_that_are_not_known_are_not_looked_at_s_10(
        policy in policy(Vocabulary::Everything),
        facts in facts(),
        groups in one_of(GROUPS),
    ) {
        let unknown = Facts { attributes: Attributes::Unknown, ..facts };
        let mut others = unknown.clone();
        if let Some(identity) = &mut others.identity {
            identity.groups = groups.into_iter().map(group).collect();
        }
        prop_assert_eq!(unknown.judge(&policy), others.judge(&policy));
    }

    #[test]
    fn a_negation_holds_exactly_where_its_condition_does_not(
        condition in condition(Vocabulary::Everything),
        facts in facts(),
    ) {
        let negated = facts.holds(&not(condition.clone()));
        prop_assert_eq!(negated, facts.holds(&condition).map(|holds| !holds));
    }

    #[test]
    fn all_and_any_are_each_others_mirror(
        parts in vec(condition(Vocabulary::Everything), 0..4),
        facts in facts(),
    ) {
        let negated = parts.iter().cloned().map(not).collect();
        let all = facts.holds(&Condition::All(parts));
        prop_assert_eq!(facts.holds(&not(Condition::Any(negated))), all);
    }

    /// Who the user is may be forgotten, whatever the rules say of it: nothing opens that was closed.
    #[test]
    fn what_is_denied_stays_denied_when_the_identity_is_forgotten_s_10(
        policy in policy(Vocabulary::Identity),
        facts in facts(),
    ) {
        if let Verdict::Deny(_) = facts.judge(&policy) {
            let forgotten = Facts { identity: None, ..facts };
            prop_assert!(matches!(forgotten.judge(&policy), Verdict::Deny(_)));
        }
    }

    /// Rules that only ever add permission do not permit more to one who has less.
    #[test]
    fn what_is_denied_stays_denied_when_groups_and_level_are_taken_away(
        policy in policy(Vocabulary::Positive),
        facts in facts(),
        kept in any::<[bool; 3]>(),
        less in 0_u8..=99,
    ) {
        if let Verdict::Deny(_) = facts.judge(&policy) {
            let mut poorer = facts.clone();
            poorer.level = facts.level.min(level(less));
            if let Some(identity) = &mut poorer.identity {
                let mut kept = kept.into_iter();
                identity.groups.retain(|_| kept.next().unwrap_or(false));
            }
            prop_assert!(matches!(poorer.judge(&policy), Verdict::Deny(_)));
        }
    }
}
