// What of a handover is a descriptor, and what readers of older formats do not know.
#include <algorithm>
#include <vector>

#include "daemon/master/pool/handover.hpp"

namespace preforkd {

void restrict_to(int format, Handover& handover) {
    handover.format = format;
    if (format < 2) handover.control.peers.clear();
    if (format < 3)
        for (HandedWorker& each : handover.workers_alive) each.reports = -1;
    if (format < 4) handover.log = {};
    if (format < 5)
        for (HandedListener& each : handover.listeners) each.sources = -1;
    if (format < 6) {
        std::erase_if(handover.listeners, [](const HandedListener& each) { return each.serves != Serves::Clients; });
        for (HandedWorker& each : handover.workers_alive) each.signing_requests = each.signing_answers = -1;
        handover.count_memory = -1;
    }
    if (format < 7) handover.areas.clear();
}

std::vector<int*> descriptors_of(Handover& handover) {
    std::vector<int*> descriptors;
    for (int* fd : {&handover.old_image, &handover.report, &handover.scoreboard, &handover.count_memory,
                    &handover.control.fd, &handover.log.reader, &handover.log.writer})
        if (*fd >= 0) descriptors.push_back(fd);
    for (HandedListener& each : handover.listeners) {
        descriptors.push_back(&each.fd);
        if (each.sources >= 0) descriptors.push_back(&each.sources);
    }
    for (HandedWorker& each : handover.workers_alive) {
        descriptors.push_back(&each.orders);
        for (int* fd : {&each.reports, &each.printed, &each.signing_requests, &each.signing_answers})
            if (*fd >= 0) descriptors.push_back(fd);
    }
    for (HandedArea& each : handover.areas) {
        descriptors.push_back(&each.memory);
        if (each.wakeup >= 0) descriptors.push_back(&each.wakeup);
    }
    for (int& fd : handover.control.waiting) descriptors.push_back(&fd);
    for (HandedPeer& each : handover.control.peers) descriptors.push_back(&each.fd);
    return descriptors;
}

}  // namespace preforkd
