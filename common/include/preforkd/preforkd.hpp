#pragma once
// All of the public API, for programs of seven lines.  Larger ones include what they use.
#include "preforkd/blocking_connection.hpp"
#include "preforkd/connection.hpp"
#include "preforkd/datagram.hpp"
#include "preforkd/endpoint.hpp"
#include "preforkd/handler.hpp"
#include "preforkd/handler_entry.hpp"
#include "preforkd/handlers.hpp"
#include "preforkd/log.hpp"
#include "preforkd/model.hpp"
#include "preforkd/run.hpp"
#include "preforkd/server.hpp"
#include "preforkd/shared_object.hpp"
