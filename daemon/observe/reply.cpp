#include "daemon/observe/reply.hpp"

#include <array>
#include <utility>

#include "daemon/observe/metrics.hpp"
#include "daemon/observe/page.hpp"

namespace preforkd {

namespace {

constexpr std::string_view json_type = "application/json";
constexpr std::string_view silent = "the master does not answer";

constexpr std::array<std::pair<std::string_view, Route>, 8> routes{{{"/metrics", Route::Metrics},
                                                                    {"/healthz", Route::Health},
                                                                    {"/readyz", Route::Readiness},
                                                                    {"/status.json", Route::Status},
                                                                    {"/page.json", Route::PageData},
                                                                    {"/", Route::Page},
                                                                    {"/page.css", Route::Style},
                                                                    {"/page.js", Route::Script}}};

constexpr unsigned ok = 200;
constexpr unsigned not_found = 404;
constexpr unsigned unavailable = 503;

Reply say(unsigned status, std::string_view sentence) {
    return {.status = status, .body = std::string{sentence} + '\n'};
}

Reply readiness(const Look& look) {
    if (!look.fresh) return say(unavailable, silent);
    if (look.fresh->why_not_ready) return say(unavailable, *look.fresh->why_not_ready);
    return say(ok, "ready");
}

Reply metrics(std::string_view accept, const Look& look) {
    const MetricsFormat format = format_for(accept);
    return {.type = content_type(format),
            .body = metrics_text(look.fresh ? look.fresh : look.last, look.fresh != nullptr, format)};
}

}  // namespace

Route route_of(std::string_view path) noexcept {
    for (const auto& [name, route] : routes)
        if (name == path) return route;
    return Route::Unknown;
}

Reply reply_to(Route route, std::string_view accept, const Look& look) {
    switch (route) {
        case Route::Metrics: return metrics(accept, look);
        case Route::Health: return look.silence > dead_after ? say(unavailable, silent) : say(ok, "alive");
        case Route::Readiness: return readiness(look);
        case Route::Status:
            if (!look.fresh) return say(unavailable, silent);
            return {.type = json_type, .body = to_json(look.fresh->status) + '\n'};
        case Route::PageData:
            if (!look.fresh) return say(unavailable, silent);
            return {.type = json_type, .body = to_json(*look.fresh) + '\n'};
        case Route::Page: return {.type = "text/html; charset=utf-8", .body = std::string{page_html()}};
        case Route::Style: return {.type = "text/css; charset=utf-8", .body = std::string{page_css()}};
        case Route::Script: return {.type = "text/javascript; charset=utf-8", .body = std::string{page_js()}};
        case Route::Unknown: break;
    }
    return say(not_found, "there are /, /metrics, /healthz, /readyz and /status.json");
}

}  // namespace preforkd
