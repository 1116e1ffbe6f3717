#include <quernel/version.h>

#define TEXT(x) #x
#define JOIN(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

int qn_version(void)
{
    return QN_VERSION;
}

const char *qn_version_string(void)
{
    return JOIN(QN_VERSION_MAJOR, QN_VERSION_MINOR, QN_VERSION_PATCH);
}
