// The one compiled copy of Boost.Asio (BOOST_ASIO_SEPARATE_COMPILATION), linked by the daemon and by handler authors.
#include <boost/asio/impl/src.hpp>
