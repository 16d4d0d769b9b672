//! The shape of policies: rules, their conditions, and what a policy says beside them.

use crate::config::parse::condition;
use crate::config::parse::narrowing;
use crate::config::parse::policy;
use crate::config::parse::response;
use crate::config::parse::schema::Key;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::key;
use crate::config::parse::schema::shapes::section;
use crate::config::problem::CONDITIONS;

pub(super) const POLICY: Kind = Kind::AnyOf(&[
    Kind::List(&Kind::Section(&RULE)),
    Kind::Section(&POLICY_KEYS),
]);

static POLICY_KEYS: Shape = section(
    &[
        key("rules", Kind::List(&Kind::Section(&RULE)))
            .required()
            .about("The rules; the first that holds decides."),
        key("responses", Kind::Section(&RESPONSES)),
        key("success_url", Kind::Text),
        key("challenge", CHALLENGE).default("auto"),
        key("denied", DENIED),
        key("failure_url", Kind::Text).about("Where a denied browser goes."),
        key("remediation", Kind::Text),
    ],
    policy::POLICY_KEYS,
);

pub(super) const CHALLENGE: Kind = Kind::Words(&["auto", "redirect", "unauthorized"]);
pub(super) const DENIED: Kind = Kind::Words(&["page", "redirect", "status"]);

pub(super) static RULE: Shape = section(
    &[
        key("allow", Kind::AnyOf(&CONDITION)).about("Lets pass whoever this holds for."),
        key("deny", Kind::AnyOf(&CONDITION)).about("Turns away whoever this holds for."),
    ],
    policy::EFFECTS,
);

/// What a rule can ask; conditions stand in one another.
static CONDITION: [Kind; 2] = [Kind::Words(&["signed_in"]), Kind::Section(&CONDITION_KEYS)];

static CONDITION_KEYS: Shape = Shape {
    name: "condition",
    keys: &[
        key("address", Kind::Some(&Kind::Text)).about("The client's address is in one of these."),
        key("all", Kind::List(&Kind::AnyOf(&CONDITION))).about("Each of these holds."),
        key("attribute", Kind::Section(&ATTRIBUTE))
            .about("An attribute of the user or of the session."),
        key("any", Kind::List(&Kind::AnyOf(&CONDITION))).about("One of these holds."),
        key("group", Kind::Some(&Kind::Text)).about("The user is in one of these groups."),
        key("header", Kind::Section(&TEST)).about("A header of the request."),
        key("level", Kind::Number(0, 99)).about("The authentication level is at least this."),
        key("method", Kind::Some(&Kind::Text)).about("The method is one of these."),
        key("not", Kind::AnyOf(&CONDITION)).about("This does not hold."),
        key("query", Kind::Section(&TEST)).about("A parameter of the query."),
        key("signed_in", Kind::Words(&["true"])).about("Somebody is signed in."),
        key("time", Kind::Section(&TIME)).about("The clock of a place."),
        key("user", Kind::Some(&Kind::Text)).about("The user is one of these."),
        key("when", Kind::Text).about("This expression holds."),
    ],
    known: CONDITIONS,
};

const TEXTS: Kind = Kind::Some(&Kind::Text);
const ABOUT_TESTS: [Key; 8] = [
    key("name", Kind::Text)
        .required()
        .about("Whose value is tested."),
    key("is", Kind::Text).about("It is this text."),
    key("in", TEXTS).about("It is one of these texts."),
    key("contains", Kind::Text).about("It has this text in it."),
    key("starts_with", Kind::Text).about("It begins with this text."),
    key("ends_with", Kind::Text).about("It ends with this text."),
    key("matches", Kind::Text).about("The whole of it matches this regular expression."),
    key("present", Kind::Words(&["true"])).about("It is there at all."),
];

static TEST: Shape = section(&ABOUT_TESTS, condition::TEST_KEYS);

/// Which requests are a route's, in the words of conditions.
pub(super) static MATCH: Shape = section(
    &[
        key("scheme", Kind::Words(&["http", "https"])).about("How they come."),
        key("header", Kind::Some(&Kind::Section(&TEST))).about("A header of them."),
        key("query", Kind::Some(&Kind::Section(&TEST))).about("A parameter of their queries."),
    ],
    narrowing::KEYS,
);

static ATTRIBUTE: Shape = section(&ABOUT_ATTRIBUTES, condition::ATTRIBUTE_KEYS);

static ABOUT_ATTRIBUTES: [Key; 9] = {
    let [name, is, one_of, contains, starts, ends, matches, present] = ABOUT_TESTS;
    let owner = key("of", Kind::Words(&["user", "session"]))
        .default("user")
        .about("Whose attribute it is.");
    [
        name, owner, is, one_of, contains, starts, ends, matches, present,
    ]
};

static TIME: Shape = section(
    &[
        key("zone", Kind::Text)
            .required()
            .about("The time zone, as in `Europe/Berlin`."),
        key("days", TEXTS).about("Days of the week: `mon`, `mon-fri`, or several."),
        key("from", Kind::Text).about("The time of the day from which it holds."),
        key("to", Kind::Text).about("The time of the day until which it holds."),
        key("dates", TEXTS).about("Dates: `2026-12-24`, `2026-12-24..2026-12-26`, or several."),
    ],
    condition::TIME_KEYS,
);

pub(super) static RESPONSES: Shape = section(
    &[
        key("headers", Kind::Named(&Kind::Text)).about("Headers to the application."),
        key(
            "cookies",
            Kind::Named(&Kind::AnyOf(&[Kind::Text, Kind::Section(&COOKIE)])),
        )
        .about("Cookies to the application, which the browser is given too."),
        key("session", Kind::Named(&Kind::Text))
            .about("Attributes that are kept with the session, for later rules."),
    ],
    response::KEYS,
);

static COOKIE: Shape = section(
    &[
        key("value", Kind::Text).required().about("What it says."),
        key("path", Kind::Text)
            .default("/")
            .about("The path that the browser sends it to."),
        key("max_age", Kind::Duration)
            .about("How long the browser keeps it; until it ends without."),
        key("http_only", Kind::Switch)
            .default("true")
            .about("Whether scripts cannot read it."),
        key("same_site", Kind::Words(&["lax", "none", "strict"]))
            .default("lax")
            .about("Whether it is sent from other sites."),
    ],
    response::COOKIE_KEYS,
);
