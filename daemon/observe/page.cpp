#include "daemon/observe/page.hpp"

// PREFORKD_PAGE: the directory of the files.
#define PREFORKD_INCLUDE_FILE(name, file)                                                       \
    asm(".pushsection .rodata\n" #name "_begin: .incbin \"" PREFORKD_PAGE "/" file "\"\n" #name \
        "_end: .byte 0\n"                                                                       \
        ".popsection\n");                                                                       \
    extern "C" const char name##_begin[];                                                       \
    extern "C" const char name##_end[]

PREFORKD_INCLUDE_FILE(preforkd_page_html, "page.html");
PREFORKD_INCLUDE_FILE(preforkd_page_css, "page.css");
PREFORKD_INCLUDE_FILE(preforkd_page_js, "page.js");

namespace preforkd {

std::string_view page_html() noexcept { return {preforkd_page_html_begin, preforkd_page_html_end}; }
std::string_view page_css() noexcept { return {preforkd_page_css_begin, preforkd_page_css_end}; }
std::string_view page_js() noexcept { return {preforkd_page_js_begin, preforkd_page_js_end}; }

}  // namespace preforkd
