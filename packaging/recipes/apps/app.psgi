my $app = sub { my $body = "hello from $$\n"; [200, ["Content-Length" => length $body], [$body]] };
$app;
