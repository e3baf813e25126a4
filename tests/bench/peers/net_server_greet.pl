# Perl's pre-forked server: `net_server_greet.pl PORT WORKERS`.
use strict;
use warnings;

package Greet;
use base 'Net::Server::PreFork';

sub process_request { print "connected\n" }

my ($port, $workers) = @ARGV;
Greet->run(
    host => '127.0.0.1', ipv => 4, port => $port, listen => 4096, log_level => 0,
    min_servers => $workers, max_servers => $workers, min_spare_servers => 0, max_spare_servers => $workers - 1,
    max_requests => 1_000_000_000,
);
