//! The directives that the converter knows, and what it makes of each.
//!
//! The table in docs/migrating-from-nginx.md is made from this one. What is not in it is reported as dropped.

/// What becomes of a directive.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// Has another form that does nearly the same without a setting.
    Changed(&'static str),
    /// Has no counterpart.
    Dropped(&'static str),
    /// Holds for what is inside it, and becomes this setting there.
    Inherited(&'static str),
    /// Needs no counterpart.
    Kept(&'static str),
    /// Becomes this setting.
    Mapped(&'static str),
}

/// The fate of a directive, by its name.
pub(super) fn fate_of(name: &str) -> Option<&'static Fate> {
    let found = DIRECTIVES.iter().find(|(known, _)| *known == name);
    found.map(|(_, fate)| fate)
}

/// The table as Markdown: each directive, and the setting that it becomes or why it becomes none.
#[must_use]
pub fn table() -> String {
    let mut text = String::from("| nginx | Portway |\n| --- | --- |\n");
    for (name, fate) in DIRECTIVES {
        let said = match fate {
            Fate::Inherited(setting) | Fate::Mapped(setting) => (*setting).to_owned(),
            Fate::Kept(why) => format!("kept: {why}"),
            Fate::Changed(why) => format!("changed: {why}"),
            Fate::Dropped(why) => format!("dropped: {why}"),
        };
        text.push_str(&format!("| `{name}` | {said} |\n"));
    }
    text
}

const SYSTEM: &str = "a matter of whatever starts Portway";
const TUNING: &str = "needs no setting";
const STREAMED: &str = "bodies are passed on as they come, in both directions";
const FILES: &str = "Portway serves no files: leave them to a web server, as a pool";
const CACHE: &str = "Portway caches no answers";
const COMPRESSION: &str = "Portway does not compress answers: leave that to the application";
const TLS_CHOICE: &str = "Portway speaks TLS 1.2 and 1.3 with cipher suites that need no choice";
const SCRIPT: &str = "Portway runs no scripts of its configuration";
const WAY_IN: &str =
    "nobody is let in until somebody protects the route: `access: protected` with a policy";
const STICKY: &str = "`balance: { hash: { cookie: … } }` keeps a client on one upstream";

/// By name, each on a line of its own.
#[rustfmt::skip]
const DIRECTIVES: &[(&str, Fate)] = &[
    ("absolute_redirect", Fate::Dropped("redirects to paths stay paths")),
    ("accept_mutex", Fate::Kept(TUNING)),
    ("access_log", Fate::Inherited("`logs.access`, one for all virtual hosts, in the format `combined`")),
    ("add_header", Fate::Inherited("`headers.response.add`; also on answers with other statuses than nginx's, as with `always`")),
    ("addition_types", Fate::Dropped("bodies are not changed")),
    ("alias", Fate::Inherited("none: Portway serves no files; the route answers 404")),
    ("allow", Fate::Inherited("`addresses`, in the order of writing")),
    ("auth_basic", Fate::Inherited("none: the route answers 403 until it is protected by `access: protected` with a policy")),
    ("auth_basic_user_file", Fate::Inherited("`portway users import` takes over what `htpasswd -B` wrote")),
    ("auth_request", Fate::Inherited("none: the route answers 403 until it is protected by `access: protected` with a policy")),
    ("auth_request_set", Fate::Dropped(WAY_IN)),
    ("autoindex", Fate::Dropped(FILES)),
    ("break", Fate::Dropped("rewriting in several steps is not done")),
    ("brotli", Fate::Dropped(COMPRESSION)),
    ("charset", Fate::Dropped("`Content-Type` is passed on as the application says it")),
    ("charset_types", Fate::Dropped("`Content-Type` is passed on as the application says it")),
    ("client_body_buffer_size", Fate::Changed(STREAMED)),
    ("client_body_in_file_only", Fate::Changed(STREAMED)),
    ("client_body_temp_path", Fate::Changed(STREAMED)),
    ("client_body_timeout", Fate::Inherited("`limits.body_idle_timeout`, for all virtual hosts")),
    ("client_header_buffer_size", Fate::Kept(TUNING)),
    ("client_header_timeout", Fate::Inherited("`limits.header_timeout`, for all virtual hosts")),
    ("client_max_body_size", Fate::Inherited("`limits.body_size`, and `body_size` of routes; nginx's 1 MiB is written out")),
    ("connection_pool_size", Fate::Kept(TUNING)),
    ("daemon", Fate::Dropped(SYSTEM)),
    ("debug_connection", Fate::Dropped("`PORTWAY_LOG` says how much is logged")),
    ("default_type", Fate::Inherited("`respond.content_type`")),
    ("deny", Fate::Inherited("as `allow`")),
    ("directio", Fate::Dropped(FILES)),
    ("empty_gif", Fate::Dropped(FILES)),
    ("env", Fate::Dropped(SYSTEM)),
    ("error_log", Fate::Dropped("the log goes to standard error; `PORTWAY_LOG` says how much is in it")),
    ("error_page", Fate::Dropped("pages of the application are passed on, and those of Portway's own are changed by `branding`")),
    ("etag", Fate::Dropped(FILES)),
    ("events", Fate::Mapped("what is in it has lines of its own")),
    ("expires", Fate::Dropped("`Cache-Control` can be set by `headers.response`")),
    ("fastcgi_pass", Fate::Inherited("none: upstreams speak HTTP; the route answers 502")),
    ("fastcgi_param", Fate::Dropped("upstreams speak HTTP")),
    ("geo", Fate::Dropped("policies have `address` conditions")),
    ("grpc_pass", Fate::Inherited("none, and the route answers 502: write a pool with `scheme: h2c` or `h2`, and `streaming: true`")),
    ("gzip", Fate::Dropped(COMPRESSION)),
    ("gzip_buffers", Fate::Dropped(COMPRESSION)),
    ("gzip_comp_level", Fate::Dropped(COMPRESSION)),
    ("gzip_disable", Fate::Dropped(COMPRESSION)),
    ("gzip_http_version", Fate::Dropped(COMPRESSION)),
    ("gzip_min_length", Fate::Dropped(COMPRESSION)),
    ("gzip_proxied", Fate::Dropped(COMPRESSION)),
    ("gzip_static", Fate::Dropped(COMPRESSION)),
    ("gzip_types", Fate::Dropped(COMPRESSION)),
    ("gzip_vary", Fate::Dropped(COMPRESSION)),
    ("hash", Fate::Mapped("`balance: { hash: … }` for a header or a cookie, `ip_hash` for the client's address")),
    ("http", Fate::Mapped("what is in it has lines of its own")),
    ("http2", Fate::Mapped("`listeners[].tls.http2`")),
    ("if", Fate::Mapped("`plain_http: redirect` where it asks for the scheme; a route with an `if` that refuses answers 403")),
    ("if_modified_since", Fate::Dropped(FILES)),
    ("ignore_invalid_headers", Fate::Changed("a header whose name is none is refused with 400")),
    ("include", Fate::Mapped("what it names is read in its place")),
    ("index", Fate::Dropped(FILES)),
    ("internal", Fate::Mapped("the route answers 404")),
    ("ip_hash", Fate::Mapped("`balance: ip_hash`, the same key")),
    ("keepalive", Fate::Changed("connections to upstreams are always kept open, as many as are of use")),
    ("keepalive_disable", Fate::Dropped("connections of all clients are kept open")),
    ("keepalive_requests", Fate::Dropped("connections are not ended after so many requests")),
    ("keepalive_time", Fate::Dropped("connections are not ended at an age")),
    ("keepalive_timeout", Fate::Inherited("`limits.keep_alive_timeout`, for all virtual hosts")),
    ("large_client_header_buffers", Fate::Inherited("`limits.header_size`, for all virtual hosts")),
    ("least_conn", Fate::Mapped("`balance: least_connections`")),
    ("limit_conn", Fate::Inherited("`limits.concurrent.per_address`, answered with 429")),
    ("limit_conn_log_level", Fate::Dropped("`PORTWAY_LOG` says how much is logged")),
    ("limit_conn_status", Fate::Changed("the status is 429")),
    ("limit_conn_zone", Fate::Mapped("what of it counts is said by `limit_conn`")),
    ("limit_except", Fate::Mapped("none: the route answers 403")),
    ("limit_rate", Fate::Inherited("`limits.download.per_request`")),
    ("limit_rate_after", Fate::Dropped("`limits.download` holds from the beginning")),
    ("limit_req", Fate::Inherited("`limits.requests.per_address`, answered with 429 and never delayed")),
    ("limit_req_log_level", Fate::Dropped("`PORTWAY_LOG` says how much is logged")),
    ("limit_req_status", Fate::Changed("the status is 429")),
    ("limit_req_zone", Fate::Mapped("what of it counts is said by `limit_req`")),
    ("lingering_close", Fate::Kept(TUNING)),
    ("lingering_time", Fate::Kept(TUNING)),
    ("lingering_timeout", Fate::Kept(TUNING)),
    ("listen", Fate::Mapped("`listeners[].bind`, and `tls` with `ssl`")),
    ("load_module", Fate::Dropped("there are no modules")),
    ("location", Fate::Mapped("`routes`, in an order in which the first that matches is nginx's choice")),
    ("log_format", Fate::Dropped("the access log has the format `combined`, or a template of Portway's fields")),
    ("log_not_found", Fate::Dropped(FILES)),
    ("log_subrequest", Fate::Kept("there are no subrequests")),
    ("mail", Fate::Dropped("Portway speaks HTTP")),
    ("map", Fate::Mapped("known where it only makes `Connection` for upgrades")),
    ("map_hash_bucket_size", Fate::Kept(TUNING)),
    ("map_hash_max_size", Fate::Kept(TUNING)),
    ("master_process", Fate::Kept(TUNING)),
    ("max_ranges", Fate::Dropped(FILES)),
    ("merge_slashes", Fate::Dropped("paths that can be read in several ways are refused")),
    ("mirror", Fate::Dropped("requests go to one upstream")),
    ("msie_padding", Fate::Kept(TUNING)),
    ("multi_accept", Fate::Kept(TUNING)),
    ("open_file_cache", Fate::Dropped(FILES)),
    ("output_buffers", Fate::Kept(TUNING)),
    ("pcre_jit", Fate::Kept(TUNING)),
    ("perl_modules", Fate::Dropped(SCRIPT)),
    ("pid", Fate::Dropped(SYSTEM)),
    ("port_in_redirect", Fate::Dropped("redirects to paths stay paths")),
    ("postpone_output", Fate::Kept(TUNING)),
    ("proxy_bind", Fate::Dropped("the system chooses the address")),
    ("proxy_buffer_size", Fate::Changed(STREAMED)),
    ("proxy_buffering", Fate::Changed(STREAMED)),
    ("proxy_buffers", Fate::Changed(STREAMED)),
    ("proxy_busy_buffers_size", Fate::Changed(STREAMED)),
    ("proxy_cache", Fate::Dropped(CACHE)),
    ("proxy_cache_bypass", Fate::Dropped(CACHE)),
    ("proxy_cache_key", Fate::Dropped(CACHE)),
    ("proxy_cache_lock", Fate::Dropped(CACHE)),
    ("proxy_cache_methods", Fate::Dropped(CACHE)),
    ("proxy_cache_min_uses", Fate::Dropped(CACHE)),
    ("proxy_cache_path", Fate::Dropped(CACHE)),
    ("proxy_cache_use_stale", Fate::Dropped(CACHE)),
    ("proxy_cache_valid", Fate::Dropped(CACHE)),
    ("proxy_connect_timeout", Fate::Inherited("`timeouts.connect`; nginx's 60 s are written out")),
    ("proxy_cookie_domain", Fate::Dropped("domains of cookies are passed on as they are")),
    ("proxy_cookie_flags", Fate::Dropped("flags of cookies are passed on as they are")),
    ("proxy_cookie_path", Fate::Dropped("paths of cookies are changed where `rewrite` changes a prefix, and not otherwise")),
    ("proxy_headers_hash_bucket_size", Fate::Kept(TUNING)),
    ("proxy_headers_hash_max_size", Fate::Kept(TUNING)),
    ("proxy_hide_header", Fate::Inherited("`headers.response.remove`")),
    ("proxy_http_version", Fate::Inherited("upstreams are spoken to by HTTP/1.1")),
    ("proxy_ignore_client_abort", Fate::Dropped("a request ends when its client goes away")),
    ("proxy_ignore_headers", Fate::Dropped(CACHE)),
    ("proxy_intercept_errors", Fate::Dropped("pages of the application are passed on")),
    ("proxy_max_temp_file_size", Fate::Changed(STREAMED)),
    ("proxy_method", Fate::Dropped("methods are passed on as they are")),
    ("proxy_next_upstream", Fate::Inherited("`retry_on`; `error timeout` is `[broken, late]`")),
    ("proxy_next_upstream_timeout", Fate::Dropped("`timeouts.total` bounds all attempts")),
    ("proxy_next_upstream_tries", Fate::Inherited("`pools.NAME.connect_retries`, one less")),
    ("proxy_no_cache", Fate::Dropped(CACHE)),
    ("proxy_pass", Fate::Inherited("`pool`; with a path `rewrite.strip_prefix` and `add_prefix`")),
    ("proxy_pass_header", Fate::Inherited("what nginx keeps back by itself, such as `Server`, is not among `headers.response.remove` of the virtual host")),
    ("proxy_pass_request_body", Fate::Dropped("bodies are passed on")),
    ("proxy_pass_request_headers", Fate::Dropped("headers are passed on")),
    ("proxy_protocol", Fate::Dropped("upstreams are not sent the PROXY protocol")),
    ("proxy_read_timeout", Fate::Inherited("`timeouts.first_byte` and `timeouts.read_idle`; nginx's 60 s are written out")),
    ("proxy_redirect", Fate::Inherited("a `Location` is mapped back where `rewrite` changes a prefix")),
    ("proxy_request_buffering", Fate::Changed(STREAMED)),
    ("proxy_send_timeout", Fate::Inherited("`timeouts.write_idle`; nginx's 60 s are written out")),
    ("proxy_set_body", Fate::Dropped("bodies are passed on as they are")),
    ("proxy_set_header", Fate::Inherited("`upstream_host`, `forwarded_headers`, or `headers.request`")),
    ("proxy_socket_keepalive", Fate::Kept(TUNING)),
    ("proxy_ssl_certificate", Fate::Inherited("`pools.NAME.tls.certificate_file`")),
    ("proxy_ssl_certificate_key", Fate::Inherited("`pools.NAME.tls.key_file`")),
    ("proxy_ssl_ciphers", Fate::Changed(TLS_CHOICE)),
    ("proxy_ssl_crl", Fate::Dropped("certificates of upstreams are not looked up in lists")),
    ("proxy_ssl_name", Fate::Inherited("`pools.NAME.tls.server_name`")),
    ("proxy_ssl_password_file", Fate::Dropped("keys have no passphrase")),
    ("proxy_ssl_protocols", Fate::Changed(TLS_CHOICE)),
    ("proxy_ssl_server_name", Fate::Inherited("`pools.NAME.tls.server_name`; a name is always sent where there is one")),
    ("proxy_ssl_session_reuse", Fate::Kept(TUNING)),
    ("proxy_ssl_trusted_certificate", Fate::Inherited("`pools.NAME.tls.ca_file`")),
    ("proxy_ssl_verify", Fate::Inherited("`pools.NAME.tls.verify`; nginx's `off` is written out (W-18)")),
    ("proxy_ssl_verify_depth", Fate::Dropped("chains may be as long as they are")),
    ("proxy_store", Fate::Dropped(CACHE)),
    ("proxy_temp_file_write_size", Fate::Changed(STREAMED)),
    ("proxy_temp_path", Fate::Changed(STREAMED)),
    ("random", Fate::Mapped("`balance: random_two`")),
    ("real_ip_header", Fate::Mapped("the chain of `X-Forwarded-For` or `Forwarded` is believed of `trusted_proxies`")),
    ("real_ip_recursive", Fate::Mapped("the last address that is no trusted proxy counts, as with `on`")),
    ("recursive_error_pages", Fate::Dropped("there are no error pages of files")),
    ("request_pool_size", Fate::Kept(TUNING)),
    ("reset_timedout_connection", Fate::Kept(TUNING)),
    ("resolver", Fate::Mapped("`dns.servers`")),
    ("resolver_timeout", Fate::Dropped("names are asked for in the background")),
    ("return", Fate::Mapped("`redirect` or `respond`; `plain_http: redirect` where it leads to https")),
    ("rewrite", Fate::Mapped("`rewrite.regex` and `with`, one for each route")),
    ("rewrite_log", Fate::Dropped("`PORTWAY_LOG` says how much is logged")),
    ("root", Fate::Inherited("none: Portway serves no files; the route answers 404")),
    ("satisfy", Fate::Dropped(WAY_IN)),
    ("scgi_pass", Fate::Inherited("none: upstreams speak HTTP; the route answers 502")),
    ("secure_link", Fate::Inherited("none: the route answers 403")),
    ("send_lowat", Fate::Kept(TUNING)),
    ("send_timeout", Fate::Inherited("`limits.send_timeout`, for all virtual hosts")),
    ("sendfile", Fate::Kept(TUNING)),
    ("sendfile_max_chunk", Fate::Kept(TUNING)),
    ("server", Fate::Mapped("`virtual_hosts`, or an upstream in a pool")),
    ("server_name", Fate::Mapped("`virtual_hosts[].hosts`; other names are refused (W-01)")),
    ("server_name_in_redirect", Fate::Dropped("redirects to paths stay paths")),
    ("server_names_hash_bucket_size", Fate::Kept(TUNING)),
    ("server_names_hash_max_size", Fate::Kept(TUNING)),
    ("server_tokens", Fate::Kept("Portway tells no version")),
    ("set", Fate::Dropped("there are no variables that a request sets")),
    ("set_real_ip_from", Fate::Mapped("`trusted_proxies`, for all virtual hosts")),
    ("slice", Fate::Dropped(CACHE)),
    ("split_clients", Fate::Dropped("requests are not parted by chance")),
    ("ssi", Fate::Dropped("bodies are not changed")),
    ("ssl", Fate::Mapped("`listeners[].tls`, as `listen … ssl` (W-22)")),
    ("ssl_buffer_size", Fate::Kept(TUNING)),
    ("ssl_certificate", Fate::Inherited("`listeners[].tls.certificates[].certificate_file`")),
    ("ssl_certificate_key", Fate::Inherited("`listeners[].tls.certificates[].key_file`")),
    ("ssl_ciphers", Fate::Changed(TLS_CHOICE)),
    ("ssl_client_certificate", Fate::Inherited("`virtual_hosts[].client_certificates.ca_file`")),
    ("ssl_conf_command", Fate::Changed(TLS_CHOICE)),
    ("ssl_crl", Fate::Inherited("`virtual_hosts[].client_certificates.crl_file`")),
    ("ssl_dhparam", Fate::Changed(TLS_CHOICE)),
    ("ssl_early_data", Fate::Dropped("early data is never taken")),
    ("ssl_ecdh_curve", Fate::Changed(TLS_CHOICE)),
    ("ssl_password_file", Fate::Dropped("keys have no passphrase: write them without")),
    ("ssl_prefer_server_ciphers", Fate::Changed(TLS_CHOICE)),
    ("ssl_protocols", Fate::Mapped("TLS 1.2 and 1.3 are spoken, older versions never")),
    ("ssl_reject_handshake", Fate::Mapped("names that are not configured are refused by themselves")),
    ("ssl_session_cache", Fate::Changed("sessions are resumed by tickets")),
    ("ssl_session_ticket_key", Fate::Changed("keys of tickets are made anew by themselves")),
    ("ssl_session_tickets", Fate::Changed("sessions are resumed by tickets")),
    ("ssl_session_timeout", Fate::Changed("sessions are resumed by tickets")),
    ("ssl_stapling", Fate::Dropped("OCSP answers are not stapled")),
    ("ssl_stapling_file", Fate::Dropped("OCSP answers are not stapled")),
    ("ssl_stapling_responder", Fate::Dropped("OCSP answers are not stapled")),
    ("ssl_stapling_verify", Fate::Dropped("OCSP answers are not stapled")),
    ("ssl_trusted_certificate", Fate::Inherited("none: clients are verified by `ssl_client_certificate` alone")),
    ("ssl_verify_client", Fate::Inherited("`virtual_hosts[].client_certificates.mode`: `required`, `optional`, `optional_unverified` or none (W-24)")),
    ("ssl_verify_depth", Fate::Inherited("`virtual_hosts[].client_certificates.depth`")),
    ("sticky", Fate::Dropped(STICKY)),
    ("stream", Fate::Dropped("Portway speaks HTTP")),
    ("stub_status", Fate::Dropped("`ops` has metrics")),
    ("sub_filter", Fate::Dropped("bodies are not changed")),
    ("tcp_nodelay", Fate::Kept(TUNING)),
    ("tcp_nopush", Fate::Kept(TUNING)),
    ("thread_pool", Fate::Kept(TUNING)),
    ("timer_resolution", Fate::Kept(TUNING)),
    ("try_files", Fate::Inherited("none: Portway serves no files; the route answers 404")),
    ("types", Fate::Kept("types of files: Portway serves none")),
    ("types_hash_bucket_size", Fate::Kept(TUNING)),
    ("types_hash_max_size", Fate::Kept(TUNING)),
    ("underscores_in_headers", Fate::Dropped("headers with `_` in their name are passed on only where they cannot be taken for one of Portway's")),
    ("upstream", Fate::Mapped("`pools`")),
    ("use", Fate::Kept(TUNING)),
    ("user", Fate::Dropped(SYSTEM)),
    ("userid", Fate::Dropped("no cookies are set for counting")),
    ("uwsgi_pass", Fate::Inherited("none: upstreams speak HTTP; the route answers 502")),
    ("valid_referers", Fate::Dropped("policies have `header` conditions")),
    ("variables_hash_bucket_size", Fate::Kept(TUNING)),
    ("variables_hash_max_size", Fate::Kept(TUNING)),
    ("worker_connections", Fate::Mapped("`limits.connections`")),
    ("worker_cpu_affinity", Fate::Dropped(SYSTEM)),
    ("worker_priority", Fate::Dropped(SYSTEM)),
    ("worker_processes", Fate::Mapped("`threads`")),
    ("worker_rlimit_core", Fate::Dropped(SYSTEM)),
    ("worker_rlimit_nofile", Fate::Dropped(SYSTEM)),
    ("worker_shutdown_timeout", Fate::Mapped("`limits.drain_timeout`")),
    ("zone", Fate::Kept("all threads know of all upstreams")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directive_has_one_fate() {
        let names: Vec<&str> = DIRECTIVES.iter().map(|(name, _)| *name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names.len(), sorted.len());
        assert!(matches!(fate_of("upstream"), Some(Fate::Mapped(_))));
        assert!(fate_of("no_such_directive").is_none());
    }
}
