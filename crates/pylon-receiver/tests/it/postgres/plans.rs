//! Has the server tell each plan that it carries out, and what that cost.

use super::proxy::Proxy;
use pylon_test_support::postgres::Cluster;
use serde_json::Value;
use tokio_postgres::Client;

/// What a role's sessions carry out, as a proxy hears it.
pub(super) struct Plans {
    proxy: Proxy,
    role: String,
}

/// A statement that was carried out.
pub(super) struct Plan {
    /// Its text.
    pub(super) query: String,
    /// The uppermost node, with its parts in `Plans`.
    pub(super) node: Value,
}

impl Plans {
    /// Makes the role; the session may make it.
    pub(super) async fn of(cluster: &Cluster, session: &Client) -> Self {
        let role = format!("plans_{:016x}", fastrand::u64(..));
        let mut setup = format!("CREATE ROLE {role} SUPERUSER LOGIN;");
        for (name, value) in [
            ("session_preload_libraries", "auto_explain"),
            ("auto_explain.log_min_duration", "0"),
            ("auto_explain.log_nested_statements", "on"),
            ("auto_explain.log_analyze", "on"),
            ("auto_explain.log_timing", "off"),
            ("auto_explain.log_buffers", "on"),
            ("auto_explain.log_format", "json"),
            ("auto_explain.log_level", "notice"),
        ] {
            setup.push_str(&format!("ALTER ROLE {role} SET {name} = '{value}';"));
        }
        session.batch_execute(&setup).await.unwrap();
        Self { proxy: Proxy::to(cluster), role }
    }

    /// The URL of a database, by which each plan is told.
    pub(super) fn url(&self, database: &str) -> String {
        self.proxy.url_as(&self.role, database)
    }

    /// The way on which the plans come.
    pub(super) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// What was carried out since the last call.
    pub(super) fn told(&self) -> Vec<Plan> {
        let notices = self.proxy.notices();
        let plans = notices.iter().filter_map(|notice| notice.split_once("plan:\n"));
        let read = |(_, plan): (&str, &str)| {
            let mut plan: Value = serde_json::from_str(plan).unwrap();
            let query = plan["Query Text"].as_str().unwrap().to_owned();
            Plan { query, node: plan["Plan"].take() }
        };
        plans.map(read).collect()
    }

    /// Removes the role, whose sessions have ended.
    pub(super) async fn end(self, session: &Client) {
        session.batch_execute(&format!("DROP ROLE {}", self.role)).await.unwrap();
    }
}
