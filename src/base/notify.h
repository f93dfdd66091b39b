/* Telling the service manager how a program is. */
#ifndef WEFT_BASE_NOTIFY_H
#define WEFT_BASE_NOTIFY_H

/* "READY=1" to the service manager named by NOTIFY_SOCKET (systemd's protocol, sd_notify(3)); nothing without it. */
void notify_service_manager(const char *state);

#endif
