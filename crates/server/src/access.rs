//! Who may do what: the options of the namespaces as the grant of anonymous callers. Later also tokens.

use sosik_core::{Grant, Pattern};

use crate::checked::Opened;

/// The grant of everybody who brings no token.
pub(crate) fn anonymous(namespaces: &[Opened]) -> Grant {
    let rule = |opened: &Opened| {
        let all = Pattern::parse(&format!("{}:*", opened.namespace.name));
        (all.expect("checked options hold well-formed namespaces"), opened.anyone)
    };
    Grant::anonymous(namespaces.iter().map(rule).collect::<Vec<_>>())
}
