#pragma once
// What a handler is told of a client that a balancer has announced, in a line.
#include <preforkd/preforkd.hpp>

#include <string>

template <class AnyConnection>
std::string told_of(const AnyConnection& client) {
    std::string line = to_string(client.peer()) + ' ' + to_string(client.local());
    if (const preforkd::Announcement* said = client.announcement()) {
        line += " by " + to_string(said->balancer) + " authority=" + said->authority + " alpn=" + said->alpn +
                " id=" + said->unique_id;
        if (said->tls)
            line += " tls=" + said->tls->version + ',' + said->tls->cipher + ',' + said->tls->common_name + ',' +
                    (said->tls->verified ? "verified" : "not verified");
    }
    return line + '\n';
}
