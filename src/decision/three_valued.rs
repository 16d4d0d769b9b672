//! `and` and `or` over what is true, what is false and what cannot be told.

/// How values are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Combine {
    /// True when all are.
    All,
    /// True when one is.
    Any,
}

/// Combines values: one decisive value settles it, otherwise one unknown leaves it open.
pub(super) fn combine(values: impl Iterator<Item = Option<bool>>, how: Combine) -> Option<bool> {
    let decisive = matches!(how, Combine::Any);
    let mut open = false;
    for value in values {
        match value {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => open = true,
        }
    }
    (!open).then_some(!decisive)
}
