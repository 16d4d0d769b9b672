//! Configurations of nginx: any text is refused with its line, or becomes a configuration that is one, and a report
//! that has each directive.

use std::io;
use std::path::Path;

use portway::convert::nginx::ConvertError;
use portway::convert::nginx::Surroundings;
use portway::convert::nginx::convert;

/// Converts a text that includes nothing.
pub fn run(data: &[u8]) {
    let read = |path: &Path| {
        let is_whole = path == Path::new(FILE);
        let bytes = is_whole.then(|| data.to_vec());
        bytes.ok_or_else(|| io::Error::other("nothing else is there"))
    };
    let surroundings = Surroundings {
        read: &read,
        list: &|_| Ok(Vec::new()),
    };
    match convert(Path::new(FILE), Path::new("/etc/nginx"), surroundings) {
        Ok(conversion) => assert!(!conversion.report.directives.is_empty()),
        Err(ConvertError::Read(error)) => assert!(!error.to_string().is_empty()),
        Err(ConvertError::Nothing(_)) => {}
        // What nginx would not start with may come to nothing here, too; it never comes out.
        Err(ConvertError::Faulty { faults, .. }) => assert!(faults.count() > 0),
    }
}

/// Files that use most of what is known.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "http { upstream a { ip_hash; server 10.0.0.1:80 weight=2; server x.test backup; } server { listen 80; \
         server_name a.test .b.test; location / { proxy_pass http://a; proxy_set_header Host $host; } } }",
        "server { listen 443 ssl; server_name a.test; ssl_certificate a; ssl_certificate_key b; location ~* \
         \\.php$ { return 301 https://$host$request_uri; } location /b/ { proxy_pass https://b.test/c/; } }",
        "server { server_name a.test; location = /x { return 200 'a\\n'; } location ^~ /y { add_header X \
         \"$http_a b\"; limit_rate 1m; proxy_pass http://10.0.0.1:81; rewrite ^/y/(.*)$ /$1 break; } }",
        "limit_req_zone $binary_remote_addr zone=a:1m rate=5r/s; server { server_name a.test; location / { \
         limit_req zone=a burst=3; client_max_body_size 0; proxy_pass http://xxx.xxx.xxx.xxx:1; } }",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}

const FILE: &str = "nginx.conf";
