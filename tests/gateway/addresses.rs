//! Routes that let in by address, whatever their access.

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Recorder;
use crate::support::Request;

#[tokio::test]
async fn a_route_lets_in_the_addresses_that_its_rules_name_and_others_get_403() {
    let recorder = Recorder::start().await;
    let address = recorder.address();
    let yaml = format!(
        "trusted_proxies: [127.0.0.1]
listeners: [{{ name: http, bind: \"127.0.0.1:0\" }}]
pools: {{ app: {{ primary: [\"{address}\"] }} }}
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes:
      - path: /office
        access: excluded
        addresses: [{{ deny: 10.0.0.7 }}, {{ allow: [10.0.0.0/8, \"2001:db8::/32\"] }}, {{ deny: all }}]
        pool: app
      - path: /answer
        access: excluded
        addresses: [{{ deny: 192.0.2.0/24 }}]
        respond: {{ status: 204 }}
      - {{ path: /, access: excluded, pool: app }}
"
    );
    let gateway = Gateway::start(&yaml).await;
    let mut anybody = Browser::new(&gateway);
    for (path, from, status) in [
        ("/office/x", "10.0.0.8", 200),
        ("/office", "10.0.0.7", 403),
        ("/office", "2001:db8::1", 200),
        ("/office", "192.0.2.1", 403),
        ("/office", "::ffff:10.0.0.7", 403),
        ("/answer", "192.0.2.1", 403),
        ("/answer", "192.0.3.1", 204),
        ("/", "192.0.2.1", 200),
    ] {
        recorder.clear();
        let request = Request::get(&format!("http://app.test{path}"));
        let request = request.header("X-Forwarded-For", from);
        anybody.send(request).await.expect(status);
        assert_eq!(
            recorder.requests(),
            usize::from(status == 200),
            "{path} {from}"
        );
    }
    let request = Request::get("http://app.test/office");
    anybody.send(request).await.expect(403);
}
