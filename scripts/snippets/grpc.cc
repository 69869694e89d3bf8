// `server PORT` or `client PORT`, with the snippet's channel arguments; no call is ever made.
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

// The strings that the snippet tells Python and Ruby; what it does not tell is an error here.
#define SAME(name, string) static_assert(std::string_view(name) == string)
#include "names.inc"

struct Client {
    grpc::ChannelArguments arguments;
    void set(const char *name, int value) { arguments.SetInt(name, value); }
};

struct Server {
    grpc::ServerBuilder builder;
    void set(const char *name, int value) { builder.AddChannelArgument(name, value); }
};

static int serve(const std::string &address)
{
    Server end;
#include "server.inc"
    grpc::AsyncGenericService service;
    auto queue = end.builder.AddCompletionQueue();
    end.builder.RegisterAsyncGenericService(&service);
    end.builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    auto server = end.builder.BuildAndStart();
    if (!server)
        return 1;
    void *tag;
    bool good;
    // Nothing was asked for, so nothing comes: this is what lets the server work.
    queue->Next(&tag, &good);
    return 0;
}

static int connect(const std::string &address)
{
    Client end;
#include "client.inc"
    auto channel =
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), end.arguments);
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20)))
        return 1;
    std::this_thread::sleep_for(std::chrono::hours(1));
    return 0;
}

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    auto address = std::string("127.0.0.1:") + words[2];
    return words[1] == std::string("server") ? serve(address) : connect(address);
}
